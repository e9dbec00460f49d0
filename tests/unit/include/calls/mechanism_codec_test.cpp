// Parameters that hold more than fields: nested ones, those that modules write into, odd lengths and hostile
// messages.
#include "calls/mechanism_codec.h"

#include <gtest/gtest.h>

#include "calls/mechanism_text.h"
#include "sent_mechanism.h"

namespace p11shim {
namespace {

CK_BYTE kBytes[64] = {1, 2, 3, 4, 5, 6, 7, 8};

TEST(MechanismCodec, NoParameterStaysNone) {
  SentMechanism wire;
  const CK_MECHANISM& received = wire.send({CKM_AES_GCM, nullptr, 0});
  ASSERT_TRUE(wire.ok());
  EXPECT_EQ(received.pParameter, nullptr);
  EXPECT_EQ(received.ulParameterLen, 0U);
}

TEST(MechanismCodec, NullKeepsTheLengthThatWasClaimed) {
  SentMechanism wire;
  const CK_MECHANISM& received = wire.send({CKM_AES_GCM, nullptr, 77});
  ASSERT_TRUE(wire.ok());
  EXPECT_EQ(received.pParameter, nullptr);
  EXPECT_EQ(received.ulParameterLen, 77U);
}

TEST(MechanismCodec, UnknownMechanismsTakeFlatBytes) {
  for (const CK_MECHANISM_TYPE type : {CKM_AES_CBC, CKM_DH_PKCS_DERIVE, CKM_VENDOR_DEFINED | 0x123UL}) {
    SentMechanism wire;
    const CK_MECHANISM& received = wire.send({type, kBytes, 16});
    ASSERT_TRUE(wire.ok());
    EXPECT_EQ(received.ulParameterLen, 16U);
    EXPECT_EQ(std::memcmp(received.pParameter, kBytes, 16), 0);
  }
}

TEST(MechanismCodec, ALengthThatFitsNoStructSendsNoPointers) {
  CK_GCM_PARAMS gcm{kBytes, 12, 96, kBytes, 5, 128};
  SentMechanism wire;
  const CK_MECHANISM& received = wire.send({CKM_AES_GCM, &gcm, sizeof gcm - 1});
  ASSERT_TRUE(wire.ok());
  ASSERT_EQ(received.ulParameterLen, sizeof gcm - 1);
  for (CK_ULONG i = 0; i < received.ulParameterLen; ++i) EXPECT_EQ(wire.parameter<CK_BYTE[sizeof gcm]>()[i], 0);
}

TEST(MechanismCodec, GmacMayAlsoBeAPlainIv) {
  SentMechanism wire;
  const CK_MECHANISM& received = wire.send({CKM_AES_GMAC, kBytes, 12});
  ASSERT_TRUE(wire.ok());
  EXPECT_EQ(received.ulParameterLen, 12U);
  EXPECT_EQ(std::memcmp(received.pParameter, kBytes, 12), 0);
}

TEST(MechanismCodec, AbsurdLengthsAreNeverRead) {
  CK_RSA_PKCS_OAEP_PARAMS oaep{CKM_SHA_1, CKG_MGF1_SHA1, CKZ_DATA_SPECIFIED, kBytes, ~0UL};
  SentMechanism wire;
  wire.send({CKM_RSA_PKCS_OAEP, &oaep, sizeof oaep});
  ASSERT_TRUE(wire.ok());
  EXPECT_EQ(wire.parameter<CK_RSA_PKCS_OAEP_PARAMS>().pSourceData, nullptr);
  EXPECT_EQ(wire.parameter<CK_RSA_PKCS_OAEP_PARAMS>().ulSourceDataLen, ~0UL);
  const CK_MECHANISM& flat = wire.send({CKM_AES_CBC, kBytes, ~0UL});
  ASSERT_TRUE(wire.ok());
  EXPECT_EQ(flat.pParameter, nullptr);
}

TEST(MechanismCodec, EmptyIsNotNull) {
  CK_RSA_PKCS_OAEP_PARAMS oaep{CKM_SHA_1, CKG_MGF1_SHA1, CKZ_DATA_SPECIFIED, kBytes, 0};
  SentMechanism wire;
  wire.send({CKM_RSA_PKCS_OAEP, &oaep, sizeof oaep});
  ASSERT_TRUE(wire.ok());
  EXPECT_NE(wire.parameter<CK_RSA_PKCS_OAEP_PARAMS>().pSourceData, nullptr);
}

TEST(MechanismCodec, OldPbkd2PointsToTheLengthOfItsPassword) {
  CK_ULONG length = 6;
  CK_PKCS5_PBKD2_PARAMS params{
      CKZ_SALT_SPECIFIED, kBytes, 8, 1000, CKP_PKCS5_PBKD2_HMAC_SHA1, nullptr, 0, kBytes, &length};
  SentMechanism wire;
  wire.send({CKM_PKCS5_PBKD2, &params, sizeof params});
  ASSERT_TRUE(wire.ok());
  const auto& got = wire.parameter<CK_PKCS5_PBKD2_PARAMS>();
  ASSERT_NE(got.ulPasswordLen, nullptr);
  EXPECT_NE(got.ulPasswordLen, &length);
  EXPECT_EQ(*got.ulPasswordLen, 6U);
  EXPECT_EQ(std::memcmp(got.pPassword, kBytes, 6), 0);
  EXPECT_EQ(got.prf, CKP_PKCS5_PBKD2_HMAC_SHA1);
}

TEST(MechanismCodec, PbeReturnsItsIv) {
  CK_BYTE iv[8] = {};
  CK_PBE_PARAMS pbe{iv, kBytes, 4, kBytes, 8, 1};
  const CK_MECHANISM mechanism{CKM_PBE_MD5_DES_CBC, &pbe, sizeof pbe};
  SentMechanism wire;
  wire.send(mechanism);
  std::memset(wire.parameter<CK_PBE_PARAMS>().pInitVector, 7, 8);
  wire.send_back(mechanism);
  ASSERT_TRUE(wire.ok());
  EXPECT_EQ(iv[0], 7);
  EXPECT_EQ(iv[7], 7);
}

TEST(MechanismCodec, TlsKeyMaterialReturnsHandlesAndIvs) {
  CK_BYTE client[8] = {}, server[8] = {};
  CK_SSL3_KEY_MAT_OUT material{0, 0, 0, 0, client, server};
  CK_TLS12_KEY_MAT_PARAMS params{256, 128, 64, CK_FALSE, {kBytes, 32, kBytes, 32}, &material, CKM_SHA256};
  const CK_MECHANISM mechanism{CKM_TLS12_KEY_AND_MAC_DERIVE, &params, sizeof params};
  SentMechanism wire;
  wire.send(mechanism);
  ASSERT_TRUE(wire.ok());
  CK_SSL3_KEY_MAT_OUT& returned = *wire.parameter<CK_TLS12_KEY_MAT_PARAMS>().pReturnedKeyMaterial;
  EXPECT_EQ(wire.parameter<CK_TLS12_KEY_MAT_PARAMS>().prfHashMechanism, CKM_SHA256);
  returned.hClientMacSecret = 1;
  returned.hServerMacSecret = 2;
  returned.hClientKey = 3;
  returned.hServerKey = 4;
  std::memset(returned.pIVClient, 5, 8);
  std::memset(returned.pIVServer, 6, 8);
  wire.send_back(mechanism);
  ASSERT_TRUE(wire.ok());
  EXPECT_EQ(material.hClientMacSecret, 1U);
  EXPECT_EQ(material.hServerMacSecret, 2U);
  EXPECT_EQ(material.hClientKey, 3U);
  EXPECT_EQ(material.hServerKey, 4U);
  EXPECT_EQ(material.pIVClient, client);
  EXPECT_EQ(client[7], 5);
  EXPECT_EQ(server[7], 6);
}

TEST(MechanismCodec, MasterKeyDerivationReturnsTheVersion) {
  CK_VERSION version{};
  CK_SSL3_MASTER_KEY_DERIVE_PARAMS params{{kBytes, 32, kBytes, 32}, &version};
  const CK_MECHANISM mechanism{CKM_TLS_MASTER_KEY_DERIVE, &params, sizeof params};
  SentMechanism wire;
  wire.send(mechanism);
  *wire.parameter<CK_SSL3_MASTER_KEY_DERIVE_PARAMS>().pVersion = {3, 1};
  wire.send_back(mechanism);
  ASSERT_TRUE(wire.ok());
  EXPECT_EQ(version.major, 3);
  EXPECT_EQ(version.minor, 1);
}

TEST(MechanismCodec, TlsPrfFillsItsBufferAndSaysHowFar) {
  CK_BYTE output[16] = {};
  CK_ULONG length = sizeof output;
  CK_TLS_PRF_PARAMS params{kBytes, 8, kBytes, 4, output, &length};
  const CK_MECHANISM mechanism{CKM_TLS_PRF, &params, sizeof params};
  SentMechanism wire;
  wire.send(mechanism);
  ASSERT_TRUE(wire.ok());
  auto& got = wire.parameter<CK_TLS_PRF_PARAMS>();
  EXPECT_EQ(*got.pulOutputLen, 16U);
  std::memset(got.pOutput, 9, 12);
  *got.pulOutputLen = 12;
  wire.send_back(mechanism);
  ASSERT_TRUE(wire.ok());
  EXPECT_EQ(length, 12U);
  EXPECT_EQ(output[11], 9);
  EXPECT_EQ(output[12], 0);
}

TEST(MechanismCodec, AModuleThatClaimsMoreThanTheBufferHoldsIsCut) {
  CK_BYTE output[16] = {};
  CK_ULONG length = sizeof output;
  CK_TLS_PRF_PARAMS params{kBytes, 8, kBytes, 4, output, &length};
  const CK_MECHANISM mechanism{CKM_TLS_PRF, &params, sizeof params};
  SentMechanism wire;
  wire.send(mechanism);
  *wire.parameter<CK_TLS_PRF_PARAMS>().pulOutputLen = 1 << 30;
  wire.send_back(mechanism);
  ASSERT_TRUE(wire.ok());
  EXPECT_EQ(length, 1UL << 30);
}

TEST(MechanismCodec, ConstantMemoryThatAModuleLeavesAloneIsNotWritten) {
  static const CK_BYTE kIv[12] = {1};  // in read-only memory
  CK_BYTE tag[16] = {};
  CK_GCM_MESSAGE_PARAMS params{const_cast<CK_BYTE_PTR>(kIv), 12, 0, CKG_NO_GENERATE, tag, 128};
  const CK_MECHANISM message{CKM_AES_GCM, &params, sizeof params};
  Buffer request, reply;
  Out out(request), back(reply);
  Handles handles;
  encode_message_parameter(out, handles, message);
  In in(request.bytes());
  Arena arena;
  CK_MECHANISM received;
  decode_message_parameter(in, handles, arena, received);
  ASSERT_TRUE(in.done());
  static_cast<CK_GCM_MESSAGE_PARAMS*>(received.pParameter)->pTag[15] = 4;
  encode_message_parameter_outputs(back, handles, received);
  In result(reply.bytes());
  decode_message_parameter_outputs(result, handles, message);
  ASSERT_TRUE(result.done());
  EXPECT_EQ(tag[15], 4);
}

TEST(MechanismCodec, CounterKdfCarriesFormatsTemplatesAndHandles) {
  CK_SP800_108_COUNTER_FORMAT counter{CK_TRUE, 16};
  CK_SP800_108_DKM_LENGTH_FORMAT length{CK_SP800_108_DKM_LENGTH_SUM_OF_KEYS, CK_FALSE, 32};
  CK_OBJECT_HANDLE key = 44;
  CK_PRF_DATA_PARAM data[] = {{CK_SP800_108_ITERATION_VARIABLE, &counter, sizeof counter},
                              {CK_SP800_108_BYTE_ARRAY, kBytes, 5},
                              {CK_SP800_108_KEY_HANDLE, &key, sizeof key},
                              {CK_SP800_108_DKM_LENGTH, &length, sizeof length}};
  CK_ULONG value_length = 16;
  CK_ATTRIBUTE attributes[] = {{CKA_VALUE_LEN, &value_length, sizeof value_length}};
  CK_OBJECT_HANDLE derived = 0;
  CK_DERIVED_KEY more[] = {{attributes, 1, &derived}};
  CK_SP800_108_KDF_PARAMS params{CKM_SHA256_HMAC, 4, data, 1, more};
  const CK_MECHANISM mechanism{CKM_SP800_108_COUNTER_KDF, &params, sizeof params};

  SentMechanism wire;
  wire.send(mechanism);
  ASSERT_TRUE(wire.ok());
  auto& got = wire.parameter<CK_SP800_108_KDF_PARAMS>();
  ASSERT_EQ(got.ulNumberOfDataParams, 4U);
  EXPECT_EQ(got.prfType, CKM_SHA256_HMAC);
  EXPECT_EQ(static_cast<CK_SP800_108_COUNTER_FORMAT*>(got.pDataParams[0].pValue)->ulWidthInBits, 16U);
  EXPECT_EQ(static_cast<CK_SP800_108_COUNTER_FORMAT*>(got.pDataParams[0].pValue)->bLittleEndian, CK_TRUE);
  EXPECT_EQ(std::memcmp(got.pDataParams[1].pValue, kBytes, 5), 0);
  EXPECT_EQ(*static_cast<CK_OBJECT_HANDLE*>(got.pDataParams[2].pValue), 44U);
  EXPECT_EQ(static_cast<CK_SP800_108_DKM_LENGTH_FORMAT*>(got.pDataParams[3].pValue)->ulWidthInBits, 32U);
  ASSERT_EQ(wire.handles().size(), 1U);
  ASSERT_EQ(got.ulAdditionalDerivedKeys, 1U);
  EXPECT_EQ(got.pAdditionalDerivedKeys[0].pTemplate[0].type, CKA_VALUE_LEN);
  *got.pAdditionalDerivedKeys[0].phKey = 55;
  wire.send_back(mechanism);
  ASSERT_TRUE(wire.ok());
  EXPECT_EQ(derived, 55U);
}

TEST(MechanismCodec, NestedMechanismsArriveWhole) {
  CK_RSA_PKCS_PSS_PARAMS pss{CKM_SHA256, CKG_MGF1_SHA256, 32};
  CK_MECHANISM signing{CKM_RSA_PKCS_PSS, &pss, sizeof pss};
  CK_MECHANISM digest{CKM_SHA256, nullptr, 0};
  CK_UTF8CHAR type[] = "text/plain";
  CK_CMS_SIG_PARAMS cms{11, &signing, &digest, type, kBytes, 3, nullptr, 0};
  SentMechanism wire;
  wire.send({CKM_CMS_SIG, &cms, sizeof cms});
  ASSERT_TRUE(wire.ok());
  const auto& got = wire.parameter<CK_CMS_SIG_PARAMS>();
  EXPECT_EQ(got.certificateHandle, 11U);
  EXPECT_EQ(got.pSigningMechanism->mechanism, CKM_RSA_PKCS_PSS);
  EXPECT_EQ(static_cast<CK_RSA_PKCS_PSS_PARAMS*>(got.pSigningMechanism->pParameter)->sLen, 32U);
  EXPECT_EQ(got.pDigestMechanism->mechanism, CKM_SHA256);
  EXPECT_STREQ(reinterpret_cast<const char*>(got.pContentType), "text/plain");
  EXPECT_EQ(got.ulRequestedAttributesLen, 3U);
}

TEST(MechanismCodec, RsaAesKeyWrapCarriesItsOaep) {
  CK_RSA_PKCS_OAEP_PARAMS oaep{CKM_SHA256, CKG_MGF1_SHA256, CKZ_DATA_SPECIFIED, kBytes, 4};
  CK_RSA_AES_KEY_WRAP_PARAMS params{256, &oaep};
  SentMechanism wire;
  wire.send({CKM_RSA_AES_KEY_WRAP, &params, sizeof params});
  ASSERT_TRUE(wire.ok());
  const auto& got = wire.parameter<CK_RSA_AES_KEY_WRAP_PARAMS>();
  EXPECT_EQ(got.ulAESKeyBits, 256U);
  EXPECT_EQ(got.pOAEPParams->hashAlg, CKM_SHA256);
  EXPECT_EQ(got.pOAEPParams->ulSourceDataLen, 4U);
}

TEST(MechanismCodec, OneTimePasswordParametersKeepTheirTypes) {
  CK_ULONG format = CK_OTP_FORMAT_DECIMAL;
  CK_OTP_PARAM items[] = {{CK_OTP_PIN, kBytes, 4}, {CK_OTP_OUTPUT_FORMAT, &format, sizeof format}};
  CK_OTP_PARAMS params{items, 2};
  SentMechanism wire;
  wire.send({CKM_HOTP, &params, sizeof params});
  ASSERT_TRUE(wire.ok());
  const auto& got = wire.parameter<CK_OTP_PARAMS>();
  ASSERT_EQ(got.ulCount, 2U);
  EXPECT_EQ(std::memcmp(got.pParams[0].pValue, kBytes, 4), 0);
  EXPECT_EQ(*static_cast<CK_ULONG*>(got.pParams[1].pValue), CK_OTP_FORMAT_DECIMAL);
}

TEST(MechanismCodec, ALoopOfNestedMechanismsEnds) {
  CK_MECHANISM mechanism{CKM_KIP_DERIVE, nullptr, sizeof(CK_KIP_PARAMS)};
  CK_KIP_PARAMS kip{&mechanism, 1, kBytes, 1};
  mechanism.pParameter = &kip;
  SentMechanism wire;
  wire.send(mechanism);
  EXPECT_TRUE(wire.ok());
  EXPECT_EQ(describe_mechanism(mechanism).find("CKM_KIP_DERIVE(CKM_KIP_DERIVE"), 0U);
}

// Decodes handwritten bytes; true if the worker would have called the module.
bool accepts(CK_MECHANISM_TYPE type, void (*write)(Out&)) {
  Buffer buffer;
  Out out(buffer);
  out.array(2);
  out.uint(type);
  write(out);
  In in(buffer.bytes());
  Handles handles;
  Arena arena;
  CK_MECHANISM received;
  decode_mechanism(in, handles, arena, received);
  return in.ok() && !handles.exhausted();
}

TEST(MechanismCodec, HostileMessagesAreRefused) {
  EXPECT_FALSE(accepts(CKM_AES_GCM, [](Out& out) { out.array(1), out.uint(9); })) << "no such layout";
  EXPECT_FALSE(accepts(CKM_AES_GCM, [](Out& out) { out.array(1), out.uint(0); })) << "no fields";
  EXPECT_FALSE(accepts(CKM_AES_GCM, [](Out& out) { out.array(2), out.nil(), out.uint(1 << 30); })) << "huge zeroes";
  EXPECT_FALSE(accepts(CKM_AES_CBC, [](Out& out) { out.array(2), out.nil(), out.uint(16); })) << "zeroes for bytes";
  EXPECT_FALSE(accepts(CKM_AES_GCM, [](Out& out) { out.str("text"); }));
  EXPECT_FALSE(accepts(CKM_HOTP, [](Out& out) { out.array(2), out.uint(0), out.array(0xffffffff); })) << "huge count";
  EXPECT_FALSE(accepts(CKM_CONCATENATE_BASE_AND_KEY, [](Out& out) { out.array(1), out.uint(0); })) << "handle missing";
  EXPECT_FALSE(accepts(CKM_KEA_KEY_DERIVE, [](Out& out) {
    out.array(6), out.uint(0), out.uint(1), out.uint(1000), out.bin(kBytes, 4), out.bin(kBytes, 4), out.bin(kBytes, 4);
  })) << "shorter than its length";
}

// Two structs of one size: what a worker is told must be what it would have concluded itself, or a later look
// at the struct would take a number for a pointer.
TEST(MechanismCodec, AStructThatContradictsItsLayoutIsRefused) {
  EXPECT_FALSE(accepts(CKM_AES_GCM, [](Out& out) {
    out.array(5), out.uint(0), out.bin(kBytes, 12), out.uint(96), out.uint(0x7fff00001000), out.uint(128);
  }));
}

TEST(MechanismCodec, DescribesByNamesAndSizes) {
  CK_RSA_PKCS_PSS_PARAMS pss{CKM_SHA256, CKG_MGF1_SHA256, 32};
  EXPECT_EQ(describe_mechanism({CKM_RSA_PKCS_PSS, &pss, sizeof pss}),
            "CKM_RSA_PKCS_PSS(CKM_SHA256, CKG_MGF1_SHA256, 32)");
  CK_GCM_PARAMS gcm{kBytes, 12, 96, nullptr, 0, 128};
  EXPECT_EQ(describe_mechanism({CKM_AES_GCM, &gcm, sizeof gcm}), "CKM_AES_GCM(12 bytes, 96, NULL, 128)");
  EXPECT_EQ(describe_mechanism({CKM_ECDSA, nullptr, 0}), "CKM_ECDSA");
  EXPECT_EQ(describe_mechanism({CKM_AES_CBC, kBytes, 16}), "CKM_AES_CBC(16 bytes)");
  EXPECT_EQ(describe_mechanism({CKM_VENDOR_DEFINED | 5, kBytes, 1}), "0x80000005 (vendor-defined)(1 byte)");
  EXPECT_EQ(describe_mechanism({CKM_RSA_PKCS_PSS, &pss, 3}), "CKM_RSA_PKCS_PSS(3 bytes)");
}

TEST(MechanismCodec, PasswordsMarkTheirMessageAsSecret) {
  CK_ULONG length = 4;
  CK_PKCS5_PBKD2_PARAMS params{
      CKZ_SALT_SPECIFIED, kBytes, 8, 1000, CKP_PKCS5_PBKD2_HMAC_SHA1, nullptr, 0, kBytes, &length};
  Buffer buffer;
  Out out(buffer);
  Handles handles;
  encode_mechanism(out, handles, {CKM_PKCS5_PBKD2, &params, sizeof params});
  const std::size_t size = buffer.size();
  buffer.clear();
  const std::uint8_t* freed = buffer.extend(size);
  for (std::size_t i = 0; i < size; ++i) EXPECT_EQ(freed[i], 0) << "not wiped";
}

}  // namespace
}  // namespace p11shim
