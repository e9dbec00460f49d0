#include "known_keys.h"

#include <algorithm>

namespace p11shim::contract {
namespace {

// In hexadecimal.
struct RsaKey {
  const char* modulus;
  const char* public_exponent;
  const char* private_exponent;
  const char* prime_1;
  const char* prime_2;
  const char* exponent_1;
  const char* exponent_2;
  const char* coefficient;
};

constexpr RsaKey kRsa2048 = {
    "ce4f0130327b21dd75df9869481e2b6b78223fd2eadf03a713aa0f6164aba9603ed17ff9f37acbc976719b1b894c583c"
    "9affde28fe4620dbdb634504843d8e88c2f3b79d5419b611df0003fbe5a8a2588c94370c2cb971886362439a9275da84"
    "cf6225388484d886e7df6ccd20c77f46fd3da7241ea00769d9c416d4252a62390ec292d2a12d619077dbb2eb834fc3c9"
    "6a75324c97a289f2a4d5067f91ec2ed589e76b5936e1fb327b763a8b0308b14c9ed901757d6e84102a9768362ef4077f"
    "ded00b083f3e1bac46196c61e79c45bd4217be0975e6e2265533c95849ed05973816f0e84474b29fb47aa6de2172e289"
    "e83da5a96301b61f35d3cc2c307ea19d",
    "010001",
    "1a7cf2f11b8f759ca2755a732caae5a0e9b95eaa6cdf6f44f4a0615326d81214ba5c0440b4edc4dbbbea5578d145a265"
    "3d9d5bb50b033955765dd0cf05fa2ff7b282bf70b80b33b62859d9d3c3511b19a00afe3a564504fa4c3af73a66fd8758"
    "854130f833037f6d6ab88e9693a9298295770f4e4839a704af21f45b0e892f8d053bacfdecc0eeeb174980e6d4114bd3"
    "bcce84003ba8a2ccbe7a055cc69baa2ba86b92ba2c1eca42afe819e0cb04ab169b5edbbe818a03906a3ce79ba59fc3b6"
    "d4cd28b60e45f922ff25c417493d12935632ca75a3ff6a041fd894236840c2d7e0f30fd9d8e578300430ffe2202d48ee"
    "2c0904c18a04b030c4fdf4fad32e341d",
    "fccfde28493f45a726f6eee342bcf3532c62cf307ea71b381e4afeb654b6affb45a43434e1d12547d535fd1539f639cf"
    "e6e71acadff6aa04d0eee77832d13d5aaa30a2e87a3e6d2a18ef75b4ee9063b8c9d8e85a1e83ac2e201b75f700e09641"
    "59747a1f5b6db9c29c1e583ef062780be5d41cd156fb020a18057c122e2362bf",
    "d0e903898b306f0cd09b5609d3399015456aa9f9bd183d925b6a338d72370601f8fefaba20331cb83b36f26ab1a1a3e0"
    "c2874fa8e1e82f66dcc1bfe572c1fd54cdc9f70006ff8ec1b193dcfc615c3fcafc1ee3b520dafda3498c96651df67203"
    "7a158e12810ecf138b0778c93c75f2dc36d3d54b1689326baafe36326793bea3",
    "c5d78a5c6e8de45d5de1caaaf0b45b9b5055f71c555142bcd5000d7af4aa8ee78de565b1a8b27a814f7a539743e7cbf0"
    "461bbf5cda8df71993c412427f4a3dc0710564c797bab8c544044952118bcf6e720f9c2dc2497afa11c84bb5c3eafdcb"
    "204d45b0ba6511051a15a92b80051f3af85dd93b7ddd2b08692a09a15497fe93",
    "424588ffbb0df44c8668a094a1532367fc0b683c774617523479ae3cf2bc8dc5566ddcafeac30c1b4d7d92cd51e84b0a"
    "63eb74d3c84655b335d8a8bd6af82b1b19e535dbe65c6fb6f65447c8304289622534cf5b883eb0337a8384ba331518fa"
    "0d62851d4d9f9b0542176eb3b7e05ad88cf40a37b5c074243fac4119204e782d",
    "9ecd34e4d067c2df34fcc79878b57ec25e5ca544ab2e9f6f40e792ac6073e69bed9df31a73ed447bf706607c47d52ec2"
    "d46df2f2d25d859818d8073c2c25e063e6583bbfece11d007eda1805711b81b90ed789f49a828d653ec0a03e1e233aee"
    "ff4de4174e035e5ebc1e3c4429977a13645f93af8f0dd777b0f1609dcfa798db",
};

constexpr RsaKey kRsa1024 = {
    "a88462e0469e14053b0fc6640f61999ed582485fc496dc350d347d3e793dcf877143b7f3111d55a41898fcd79fa234ad"
    "79c8a99435f5b34eeda539d78a1dba8c9086c813f7e6bed9aad3c836c54fb56bd7e29801057ba6639a0a91ea64e24ec2"
    "529583c1ce5138664f6f790e6527925c11e809bf2bacdd5597cb9e57b7e24f81",
    "010001",
    "0fcbb0f4f2c99878d10b6e7e2c8eea765fef0157b0b6af576db070d8ed4664f07e2669d4a7d3071705933988009794b6"
    "7a06dc165f6473753f835043aad79487b77b630fae10a572f51e067b7c0c474ff1d0924930fb299955f86c9964efa933"
    "5420777c542cad5d951092f0cf3c6681c3caf7347403a71a1db282d224c6affd",
    "da86a6cc97034b37e170ce9f679b8fb7261138da4f24fd716fcb12cab7cb096e2682693c81e36e4661f1fc8e822952d1"
    "c2d16df3502fee84fd8077fe90e7d6af",
    "c56a553e29d302cbfa6fde6620a976c05b9d9bebc65e38682917575ff4b9aaa32bdff1db1e4bcd9d4e1fd88a4c35b9ed"
    "a55d1417119e0ef46897b9584b3dc8cf",
    "15eb97e3c1ea34ab6053de8622f079d4175f76e27f39e8aa6e5a62822f3990b299ee4efc20d35d8675e0be42d54fabdd"
    "1abbc359badb7403a72231e73945e845",
    "76b464835784d126b3f4f666b47711b7c29ef7b582f6feb5eb1764eb86ece964ea29e374dd37b970401cb80918a029a7"
    "730a8fdcfb33ee4c1a643907955e9653",
    "c82e117932d71f8f621b2ddb9c7d4af9eb3f57264ef57dcf3e4fb6ae511981f6c53d92cab9485cf2e25ffc1245de14be"
    "6dbca538b1603452815f02fbd7609e21",
};

constexpr char kP256Scalar[] = "af4c05c011bc91e2b032298d3d35f0c45f79b924cc407cf118bb23344f647f30";
constexpr char kP256Point[] =
    "04132842bab03b00ac3d35c2b2342e5b4d3d564db95631dbe9a3eeeb21cbd4760c7b3b3f60f94e7eaee87b30ebdbbc9f"
    "df56305e4fb056938e6125662131d54e75";
constexpr char kPeerPoint[] =
    "04a4200f63ca162fcd5a7cebb312483d6f2d80c0119d04aba759a1ab6ce090e0f57bdae8b8c6f85372a6ebed90fc3e9c"
    "0ad9b12353aeca2a4a112ca2d15f01d9cd";
constexpr char kEd25519Seed[] = "5ae1f5421be3deadc2efb84667e5c094324b90cd425a1c16291f74382fd375d1";
constexpr char kEd25519Point[] = "6321a3ef5b074dda6d3660f60d4bae546c530d868fc05ac73c4ebfd8b81fac61";
constexpr char kCertificate[] =
    "3082017d30820123a00302010202140aee2bcfef85f5d85685a5c3be4f25e9d6e5e55f300a06082a8648ce3d04030230"
    "133111300f06035504030c08636f6e74726163743020170d3236313132313030313531385a180f323035313037313330"
    "30313531385a30133111300f06035504030c08636f6e74726163743059301306072a8648ce3d020106082a8648ce3d03"
    "010703420004132842bab03b00ac3d35c2b2342e5b4d3d564db95631dbe9a3eeeb21cbd4760c7b3b3f60f94e7eaee87b"
    "30ebdbbc9fdf56305e4fb056938e6125662131d54e75a3533051301d0603551d0e041604142c8c23c38721780d43cf78"
    "36dd27317be49faff3301f0603551d230418301680142c8c23c38721780d43cf7836dd27317be49faff3300f0603551d"
    "130101ff040530030101ff300a06082a8648ce3d0403020348003045022100f23e01f5324a458eb5f0b24ac2f60f070a"
    "009bc7e2c44f0cb7d9bc1ccb888e4f0220235b0deb80491628892ea678d5798d0f33737d8f7b3c64574cda1b8e0706e3"
    "62";

constexpr char kP256Params[] = "06082a8648ce3d030107";
// SoftHSM and NSS both know edwards25519 by this printable name.
constexpr char kEd25519Params[] = "130c656477617264733235353139";

Bytes number(std::string_view hex) { return from_hex(hex); }

// An EC point as CKA_EC_POINT holds it: a DER octet string.
Bytes octet_string(std::string_view hex) {
  const Bytes point = from_hex(hex);
  Bytes der(2 + point.size());
  der[0] = 0x04;
  der[1] = static_cast<CK_BYTE>(point.size());
  std::ranges::copy(point, der.begin() + 2);
  return der;
}

const RsaKey& rsa(unsigned bits) { return bits == 1024 ? kRsa1024 : kRsa2048; }

}  // namespace

Template rsa_public(const char* label, unsigned bits) {
  return {{CKA_CLASS, CKO_PUBLIC_KEY},
          {CKA_KEY_TYPE, CKK_RSA},
          {CKA_LABEL, label},
          {CKA_ID, Bytes{1, 2}},
          {CKA_TOKEN, false},
          {CKA_PRIVATE, false},
          {CKA_ENCRYPT, true},
          {CKA_VERIFY, true},
          {CKA_VERIFY_RECOVER, true},
          {CKA_WRAP, true},
          {CKA_MODULUS, number(rsa(bits).modulus)},
          {CKA_PUBLIC_EXPONENT, number(rsa(bits).public_exponent)}};
}

Template rsa_private(const char* label, unsigned bits) {
  const RsaKey& key = rsa(bits);
  return {{CKA_CLASS, CKO_PRIVATE_KEY},
          {CKA_KEY_TYPE, CKK_RSA},
          {CKA_LABEL, label},
          {CKA_ID, Bytes{1, 2}},
          {CKA_TOKEN, false},
          {CKA_PRIVATE, true},
          {CKA_SENSITIVE, true},
          {CKA_EXTRACTABLE, true},
          {CKA_DECRYPT, true},
          {CKA_SIGN, true},
          {CKA_SIGN_RECOVER, true},
          {CKA_UNWRAP, true},
          {CKA_MODULUS, number(key.modulus)},
          {CKA_PUBLIC_EXPONENT, number(key.public_exponent)},
          {CKA_PRIVATE_EXPONENT, number(key.private_exponent)},
          {CKA_PRIME_1, number(key.prime_1)},
          {CKA_PRIME_2, number(key.prime_2)},
          {CKA_EXPONENT_1, number(key.exponent_1)},
          {CKA_EXPONENT_2, number(key.exponent_2)},
          {CKA_COEFFICIENT, number(key.coefficient)}};
}

Template ec_public(const char* label) {
  return {{CKA_CLASS, CKO_PUBLIC_KEY},
          {CKA_KEY_TYPE, CKK_EC},
          {CKA_LABEL, label},
          {CKA_ID, Bytes{3, 4}},
          {CKA_TOKEN, false},
          {CKA_PRIVATE, false},
          {CKA_VERIFY, true},
          {CKA_EC_PARAMS, from_hex(kP256Params)},
          {CKA_EC_POINT, octet_string(kP256Point)}};
}

Template ec_private(const char* label) {
  return {{CKA_CLASS, CKO_PRIVATE_KEY},
          {CKA_KEY_TYPE, CKK_EC},
          {CKA_LABEL, label},
          {CKA_ID, Bytes{3, 4}},
          {CKA_TOKEN, false},
          {CKA_PRIVATE, true},
          {CKA_SENSITIVE, true},
          {CKA_EXTRACTABLE, true},
          {CKA_SIGN, true},
          {CKA_DERIVE, true},
          {CKA_EC_PARAMS, from_hex(kP256Params)},
          {CKA_VALUE, number(kP256Scalar)}};
}

Template ed25519_public(const char* label) {
  return {{CKA_CLASS, CKO_PUBLIC_KEY},
          {CKA_KEY_TYPE, CKK_EC_EDWARDS},
          {CKA_LABEL, label},
          {CKA_TOKEN, false},
          {CKA_PRIVATE, false},
          {CKA_VERIFY, true},
          {CKA_EC_PARAMS, from_hex(kEd25519Params)},
          {CKA_EC_POINT, octet_string(kEd25519Point)}};
}

Template ed25519_private(const char* label) {
  return {{CKA_CLASS, CKO_PRIVATE_KEY},
          {CKA_KEY_TYPE, CKK_EC_EDWARDS},
          {CKA_LABEL, label},
          {CKA_TOKEN, false},
          {CKA_PRIVATE, true},
          {CKA_SENSITIVE, true},
          {CKA_SIGN, true},
          {CKA_EC_PARAMS, from_hex(kEd25519Params)},
          {CKA_VALUE, number(kEd25519Seed)}};
}

Template secret(CK_KEY_TYPE type, const Bytes& value, const char* label) {
  return {{CKA_CLASS, CKO_SECRET_KEY}, {CKA_KEY_TYPE, type},   {CKA_LABEL, label},      {CKA_TOKEN, false},
          {CKA_PRIVATE, true},         {CKA_SENSITIVE, false}, {CKA_EXTRACTABLE, true}, {CKA_ENCRYPT, true},
          {CKA_DECRYPT, true},         {CKA_SIGN, true},       {CKA_VERIFY, true},      {CKA_WRAP, true},
          {CKA_UNWRAP, true},          {CKA_DERIVE, true},     {CKA_VALUE, value}};
}

Template aes(unsigned bytes, const char* label) { return secret(CKK_AES, pattern(bytes, 7), label); }

Template des3(const char* label) {
  Bytes value = pattern(24, 9);
  for (CK_BYTE& byte : value)  // odd parity
    byte = static_cast<CK_BYTE>((byte & 0xfe) | (__builtin_popcount(byte & 0xfe) % 2 == 0 ? 1 : 0));
  return secret(CKK_DES3, value, label);
}

Template generic(unsigned bytes, const char* label) { return secret(CKK_GENERIC_SECRET, pattern(bytes, 11), label); }

Template data_object(const char* label, const char* value) {
  return {{CKA_CLASS, CKO_DATA},         {CKA_TOKEN, false},           {CKA_PRIVATE, false}, {CKA_LABEL, label},
          {CKA_APPLICATION, "contract"}, {CKA_VALUE, from_text(value)}};
}

Template certificate(const char* label) {
  return {{CKA_CLASS, CKO_CERTIFICATE},
          {CKA_CERTIFICATE_TYPE, CKC_X_509},
          {CKA_TOKEN, false},
          {CKA_PRIVATE, false},
          {CKA_LABEL, label},
          {CKA_ID, Bytes{3, 4}},
          {CKA_SUBJECT, from_hex("3013311130"
                                 "0f06035504030c08636f6e7472616374")},
          {CKA_VALUE, from_hex(kCertificate)}};
}

Template stored(const char* label) {
  // Unique by issuer and serial number, as NSS wants it.
  return certificate(label).with({{CKA_TOKEN, true}, {CKA_ISSUER, label}, {CKA_SERIAL_NUMBER, label}});
}

Template stored_privately(const char* label) { return aes(16, label).with({{CKA_TOKEN, true}, {CKA_ID, label}}); }

Bytes p256_params() { return from_hex(kP256Params); }
Bytes ed25519_params() { return from_hex(kEd25519Params); }
Bytes peer_point() { return from_hex(kPeerPoint); }

}  // namespace p11shim::contract
