#include "secret_work.h"

#include <gtest/gtest.h>

namespace p11shim {

CK_BYTE_PTR SecretWork::bytes(std::string& text) { return reinterpret_cast<CK_BYTE_PTR>(text.data()); }

std::string SecretWork::secret(const std::string& what, const std::string& value) {
  secrets_.push_back({what, value});
  return value;
}

void SecretWork::keep_result(const std::string& what, const std::string& buffer, CK_ULONG length) {
  if (length >= 8) secrets_.push_back({what, buffer.substr(0, length)});
}

// Imports an AES key and a data object, encrypts, decrypts, signs, digests, wraps and reads with them.
void SecretWork::use_keys(CK_SESSION_HANDLE session) {
  auto key_value = secret("a key's value", "aes-key-value-0123456789-abcdef!");
  auto object_value = secret("a data object's value", "object-value-Pw17tD");
  auto plaintext = secret("a plaintext", "plaintext-Rt46kF-plaintext-16-32");
  auto iv = secret("an IV", "iv-Sv35jG-16-byt");
  auto message = secret("signed data", "signed-data-Tu24hH");
  auto changed = secret("an attribute's new value", "new-value-Ux13gJ");
  std::string label = kKeyLabel;
  CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
  CK_OBJECT_CLASS secret_key = CKO_SECRET_KEY, data_class = CKO_DATA;
  CK_KEY_TYPE aes = CKK_AES, generic = CKK_GENERIC_SECRET;

  CK_ATTRIBUTE aes_key[] = {{CKA_CLASS, &secret_key, sizeof secret_key},
                            {CKA_KEY_TYPE, &aes, sizeof aes},
                            {CKA_TOKEN, &yes, 1},
                            {CKA_PRIVATE, &yes, 1},
                            {CKA_SENSITIVE, &no, 1},
                            {CKA_EXTRACTABLE, &yes, 1},
                            {CKA_ENCRYPT, &yes, 1},
                            {CKA_DECRYPT, &yes, 1},
                            {CKA_WRAP, &yes, 1},
                            {CKA_LABEL, label.data(), label.size()},
                            {CKA_VALUE, key_value.data(), key_value.size()}};
  CK_OBJECT_HANDLE key = 0;
  ASSERT_EQ(p11_.C_CreateObject(session, aes_key, std::size(aes_key), &key), CKR_OK);
  CK_ATTRIBUTE mac_key_template[] = {{CKA_CLASS, &secret_key, sizeof secret_key},
                                     {CKA_KEY_TYPE, &generic, sizeof generic},
                                     {CKA_TOKEN, &no, 1},
                                     {CKA_SIGN, &yes, 1},
                                     {CKA_VERIFY, &yes, 1},
                                     {CKA_VALUE, key_value.data(), key_value.size()}};
  CK_OBJECT_HANDLE mac_key = 0;
  ASSERT_EQ(p11_.C_CreateObject(session, mac_key_template, std::size(mac_key_template), &mac_key), CKR_OK);
  CK_ATTRIBUTE data_object[] = {{CKA_CLASS, &data_class, sizeof data_class},
                                {CKA_TOKEN, &yes, 1},
                                {CKA_PRIVATE, &no, 1},
                                {CKA_MODIFIABLE, &yes, 1},
                                {CKA_VALUE, object_value.data(), object_value.size()}};
  CK_OBJECT_HANDLE object = 0;
  ASSERT_EQ(p11_.C_CreateObject(session, data_object, std::size(data_object), &object), CKR_OK);
  CK_ATTRIBUTE change{CKA_VALUE, changed.data(), changed.size()};
  p11_.C_SetAttributeValue(session, object, &change, 1);  // whatever the module thinks of it

  std::string read(256, '\0');
  CK_ATTRIBUTE value{CKA_VALUE, read.data(), read.size()};
  EXPECT_EQ(p11_.C_GetAttributeValue(session, key, &value, 1), CKR_OK);
  EXPECT_EQ(read.substr(0, value.ulValueLen), key_value);

  CK_MECHANISM cbc{CKM_AES_CBC_PAD, iv.data(), iv.size()};
  std::string ciphertext(256, '\0');
  CK_ULONG length = ciphertext.size();
  ASSERT_EQ(p11_.C_EncryptInit(session, &cbc, key), CKR_OK);
  ASSERT_EQ(p11_.C_Encrypt(session, bytes(plaintext), plaintext.size(), bytes(ciphertext), &length), CKR_OK);
  keep_result("a ciphertext", ciphertext, length);
  std::string decrypted(256, '\0');
  CK_ULONG decrypted_length = decrypted.size();
  ASSERT_EQ(p11_.C_DecryptInit(session, &cbc, key), CKR_OK);
  ASSERT_EQ(p11_.C_Decrypt(session, bytes(ciphertext), length, bytes(decrypted), &decrypted_length), CKR_OK);
  EXPECT_EQ(decrypted.substr(0, decrypted_length), plaintext);

  // With a failure in it: error paths log more.
  ASSERT_EQ(p11_.C_DecryptInit(session, &cbc, key), CKR_OK);
  EXPECT_NE(p11_.C_Decrypt(session, bytes(plaintext), 15, bytes(decrypted), &decrypted_length), CKR_OK);

  CK_MECHANISM hmac{CKM_SHA256_HMAC, nullptr, 0};
  std::string signature(64, '\0');
  length = signature.size();
  ASSERT_EQ(p11_.C_SignInit(session, &hmac, mac_key), CKR_OK);
  ASSERT_EQ(p11_.C_SignUpdate(session, bytes(message), message.size()), CKR_OK);
  ASSERT_EQ(p11_.C_SignFinal(session, bytes(signature), &length), CKR_OK);
  keep_result("a signature", signature, length);
  ASSERT_EQ(p11_.C_VerifyInit(session, &hmac, mac_key), CKR_OK);
  EXPECT_EQ(p11_.C_Verify(session, bytes(message), message.size(), bytes(signature), length), CKR_OK);

  CK_MECHANISM sha{CKM_SHA256, nullptr, 0};
  std::string digest(32, '\0');
  length = digest.size();
  ASSERT_EQ(p11_.C_DigestInit(session, &sha), CKR_OK);
  ASSERT_EQ(p11_.C_Digest(session, bytes(message), message.size(), bytes(digest), &length), CKR_OK);
  keep_result("a digest", digest, length);

  std::string random(32, '\0');
  ASSERT_EQ(p11_.C_GenerateRandom(session, bytes(random), random.size()), CKR_OK);
  keep_result("a random number", random, random.size());
  ASSERT_NE(p11_.C_SeedRandom(session, bytes(message), message.size()), CKR_DEVICE_ERROR);

  CK_MECHANISM wrap{CKM_AES_KEY_WRAP, nullptr, 0};
  std::string wrapped(256, '\0');
  length = wrapped.size();
  if (p11_.C_WrapKey(session, &wrap, key, key, bytes(wrapped), &length) == CKR_OK)
    keep_result("a wrapped key", wrapped, length);
}

// Derives a key, and calls what the module may not know: what an error path writes is searched, too.
void SecretWork::use_parameters(CK_SESSION_HANDLE session) {
  auto derivation = secret("data that a key is derived from", "derive-data-Vy02");
  auto iv = secret("an IV of a parameter", "param-iv-Wz91kQ!");
  auto aad = secret("additional data", "additional-data-Xa80lP");
  auto password = secret("a password", "password-Yb79mO");
  auto salt = secret("a salt", "salt-bytes-Zc68nN");
  auto user = secret("a user's name", "user-name-Ad57oM");
  auto pin = secret("a named user's PIN", "named-pin-Be46pL");
  auto message = secret("a message", "message-Cf35qK-16");
  auto key_value = secret("a base key's value", "base-key-value-0123456789-abcdef");
  std::string out(256, '\0');
  CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
  CK_OBJECT_CLASS secret_key = CKO_SECRET_KEY;
  CK_KEY_TYPE aes = CKK_AES, generic = CKK_GENERIC_SECRET;
  CK_ATTRIBUTE base_template[] = {{CKA_CLASS, &secret_key, sizeof secret_key},
                                  {CKA_KEY_TYPE, &aes, sizeof aes},
                                  {CKA_TOKEN, &no, 1},
                                  {CKA_DERIVE, &yes, 1},
                                  {CKA_ENCRYPT, &yes, 1},
                                  {CKA_VALUE, key_value.data(), key_value.size()}};
  CK_OBJECT_HANDLE base = 0, derived = 0;
  ASSERT_EQ(p11_.C_CreateObject(session, base_template, std::size(base_template), &base), CKR_OK);
  CK_ULONG length = derivation.size();
  CK_ATTRIBUTE derived_template[] = {{CKA_CLASS, &secret_key, sizeof secret_key},
                                     {CKA_KEY_TYPE, &generic, sizeof generic},
                                     {CKA_TOKEN, &no, 1},
                                     {CKA_VALUE_LEN, &length, sizeof length}};
  CK_KEY_DERIVATION_STRING_DATA string{bytes(derivation), derivation.size()};
  CK_MECHANISM derive{CKM_AES_ECB_ENCRYPT_DATA, &string, sizeof string};
  EXPECT_EQ(p11_.C_DeriveKey(session, &derive, base, derived_template, std::size(derived_template), &derived), CKR_OK);

  CK_GCM_PARAMS gcm{bytes(iv), 12, 96, bytes(aad), aad.size(), 128};
  CK_MECHANISM aes_gcm{CKM_AES_GCM, &gcm, sizeof gcm};
  CK_ULONG size = out.size();
  if (p11_.C_EncryptInit(session, &aes_gcm, base) == CKR_OK)
    p11_.C_Encrypt(session, bytes(message), message.size(), bytes(out), &size);

  CK_PBE_PARAMS pbe{bytes(iv), bytes(password), password.size(), bytes(salt), salt.size(), 1000};
  CK_MECHANISM by_password{CKM_PBE_SHA1_DES3_EDE_CBC, &pbe, sizeof pbe};
  EXPECT_NE(p11_.C_GenerateKey(session, &by_password, derived_template, 3, &derived), CKR_OK);
  CK_PKCS5_PBKD2_PARAMS2 pbkd2{
      CKZ_SALT_SPECIFIED, bytes(salt),    salt.size(), 1000, CKP_PKCS5_PBKD2_HMAC_SHA256, nullptr, 0,
      bytes(password),    password.size()};
  CK_MECHANISM by_pbkd2{CKM_PKCS5_PBKD2, &pbkd2, sizeof pbkd2};
  EXPECT_NE(p11_.C_GenerateKey(session, &by_pbkd2, derived_template, std::size(derived_template), &derived), CKR_OK);

  CK_GCM_MESSAGE_PARAMS per_message{bytes(iv), 12, 96, CKG_NO_GENERATE, bytes(out), 128};
  CK_MECHANISM messages{CKM_AES_GCM, nullptr, 0};
  size = out.size() - 32;
  p11_.C_MessageEncryptInit(session, &messages, base);
  p11_.C_EncryptMessage(session, &per_message, sizeof per_message, bytes(aad), aad.size(), bytes(message),
                        message.size(), bytes(out) + 32, &size);
  p11_.C_MessageEncryptFinal(session);
  EXPECT_NE(p11_.C_LoginUser(session, CKU_USER, bytes(pin), pin.size(), bytes(user), user.size()), CKR_OK);
}

}  // namespace p11shim
