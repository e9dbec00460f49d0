// Every struct with values written by hand in the order of the C header, compared field by field: what the
// descriptions say is checked against what the header says.
#include "calls/mechanism_params.h"

#include <gtest/gtest.h>

#include "sent_mechanism.h"

namespace p11shim {
namespace {

// Bytes that nothing else in the test has.
CK_BYTE_PTR b(CK_ULONG size) {
  static Arena arena;
  static CK_BYTE next = 0;
  CK_BYTE_PTR bytes = arena.bytes(size + 1);
  for (CK_ULONG i = 0; i < size; ++i) bytes[i] = ++next;
  bytes[size] = 0;
  return bytes;
}
void expect_bytes(const void* got, const void* expected, CK_ULONG size, const char* field) {
  ASSERT_NE(got, nullptr) << field;
  EXPECT_NE(got, expected) << field << " is a pointer of the sender";
  EXPECT_EQ(std::memcmp(got, expected, size), 0) << field;
}

#define N(field) EXPECT_EQ(got.field, sent.field);
#define B(field, length)              \
  EXPECT_EQ(got.length, sent.length); \
  expect_bytes(got.field, sent.field, sent.length, #field);
#define F(field, size) expect_bytes(got.field, sent.field, size, #field);
#define H(...) handles = {__VA_ARGS__};
#define ARRIVES(TEST_NAME, MECHANISM, STRUCT, INIT, FIELDS)                                       \
  TEST(MechanismParams, TEST_NAME) {                                                              \
    STRUCT sent = INIT;                                                                           \
    SentMechanism wire;                                                                           \
    const CK_MECHANISM& received = wire.send({MECHANISM, &sent, sizeof sent});                    \
    ASSERT_TRUE(wire.ok());                                                                       \
    EXPECT_EQ(received.mechanism, MECHANISM);                                                     \
    ASSERT_EQ(received.ulParameterLen, sizeof(STRUCT));                                           \
    const STRUCT& got = wire.parameter<STRUCT>();                                                 \
    std::vector<std::uint64_t> handles;                                                           \
    FIELDS                                                                                        \
    EXPECT_EQ(std::vector<std::uint64_t>(wire.handles().begin(), wire.handles().end()), handles); \
  }
#define INIT(...) \
  { __VA_ARGS__ }

// clang-format off
ARRIVES(RsaPss, CKM_SHA256_RSA_PKCS_PSS, CK_RSA_PKCS_PSS_PARAMS, INIT(CKM_SHA256, CKG_MGF1_SHA256, 32), N(hashAlg) N(mgf) N(sLen))
ARRIVES(Oaep, CKM_RSA_PKCS_OAEP, CK_RSA_PKCS_OAEP_PARAMS, INIT(CKM_SHA_1, CKG_MGF1_SHA1, CKZ_DATA_SPECIFIED, b(7), 7), N(hashAlg) N(mgf) N(source) B(pSourceData, ulSourceDataLen))
ARRIVES(KeyWrapSetOaep, CKM_KEY_WRAP_SET_OAEP, CK_KEY_WRAP_SET_OAEP_PARAMS, INIT(9, b(5), 5), N(bBC) B(pX, ulXLen))
ARRIVES(Gcm, CKM_AES_GCM, CK_GCM_PARAMS, INIT(b(12), 12, 95, b(20), 20, 128), B(pIv, ulIvLen) N(ulIvBits) B(pAAD, ulAADLen) N(ulTagBits))
ARRIVES(GcmOfTheDocument, CKM_AES_GCM, CK_NSS_GCM_PARAMS, INIT(b(12), 12, b(20), 20, 128), B(pIv, ulIvLen) B(pAAD, ulAADLen) N(ulTagBits))
ARRIVES(GcmWrap, CKM_AES_GCM, CK_GCM_WRAP_PARAMS, INIT(b(12), 12, 32, CKG_GENERATE, b(20), 20, 128), B(pIv, ulIvLen) N(ulIvFixedBits) N(ivGenerator) B(pAAD, ulAADLen) N(ulTagBits))
ARRIVES(GcmMessageAtInit, CKM_AES_GCM, CK_GCM_MESSAGE_PARAMS, INIT(b(12), 12, 32, CKG_GENERATE_RANDOM, b(16), 128), B(pIv, ulIvLen) N(ulIvFixedBits) N(ivGenerator) F(pTag, 16) N(ulTagBits))
ARRIVES(Gmac, CKM_AES_GMAC, CK_GCM_PARAMS, INIT(b(12), 12, 96, b(1), 1, 96), B(pIv, ulIvLen) N(ulIvBits) B(pAAD, ulAADLen) N(ulTagBits))
ARRIVES(Ccm, CKM_AES_CCM, CK_CCM_PARAMS, INIT(100, b(13), 13, b(8), 8, 16), N(ulDataLen) B(pNonce, ulNonceLen) B(pAAD, ulAADLen) N(ulMACLen))
ARRIVES(CcmWrap, CKM_AES_CCM, CK_CCM_WRAP_PARAMS, INIT(100, b(13), 13, 24, CKG_GENERATE, b(8), 8, 16), N(ulDataLen) B(pNonce, ulNonceLen) N(ulNonceFixedBits) N(nonceGenerator) B(pAAD, ulAADLen) N(ulMACLen))
ARRIVES(CcmMessageAtInit, CKM_AES_CCM, CK_CCM_MESSAGE_PARAMS, INIT(100, b(13), 13, 24, CKG_GENERATE, b(10), 10), N(ulDataLen) B(pNonce, ulNonceLen) N(ulNonceFixedBits) N(nonceGenerator) B(pMAC, ulMACLen))
ARRIVES(ChaCha20Poly1305, CKM_CHACHA20_POLY1305, CK_SALSA20_CHACHA20_POLY1305_PARAMS, INIT(b(12), 12, b(30), 30), B(pNonce, ulNonceLen) B(pAAD, ulAADLen))
ARRIVES(NssAead, CKM_NSS_CHACHA20_POLY1305, CK_NSS_AEAD_PARAMS, INIT(b(12), 12, b(30), 30, 16), B(pNonce, ulNonceLen) B(pAAD, ulAADLen) N(ulTagLen))
ARRIVES(AesCtr, CKM_AES_CTR, CK_AES_CTR_PARAMS, INIT(64, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}), N(ulCounterBits) F(cb, 16))
ARRIVES(CamelliaCtr, CKM_CAMELLIA_CTR, CK_CAMELLIA_CTR_PARAMS, INIT(64, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}), N(ulCounterBits) F(cb, 16))
ARRIVES(ChaCha20, CKM_CHACHA20, CK_CHACHA20_PARAMS, INIT(b(4), 32, b(12), 96), F(pBlockCounter, 4) N(blockCounterBits) F(pNonce, 12) N(ulNonceBits))
ARRIVES(Salsa20, CKM_SALSA20, CK_SALSA20_PARAMS, INIT(b(8), b(24), 192), F(pBlockCounter, 8) F(pNonce, 24) N(ulNonceBits))
ARRIVES(Rc2Cbc, CKM_RC2_CBC, CK_RC2_CBC_PARAMS, INIT(128, {1, 2, 3, 4, 5, 6, 7, 8}), N(ulEffectiveBits) F(iv, 8))
ARRIVES(Rc2MacGeneral, CKM_RC2_MAC_GENERAL, CK_RC2_MAC_GENERAL_PARAMS, INIT(128, 4), N(ulEffectiveBits) N(ulMacLength))
ARRIVES(Rc5, CKM_RC5_ECB, CK_RC5_PARAMS, INIT(32, 12), N(ulWordsize) N(ulRounds))
ARRIVES(Rc5Cbc, CKM_RC5_CBC_PAD, CK_RC5_CBC_PARAMS, INIT(32, 12, b(8), 8), N(ulWordsize) N(ulRounds) B(pIv, ulIvLen))
ARRIVES(Rc5MacGeneral, CKM_RC5_MAC_GENERAL, CK_RC5_MAC_GENERAL_PARAMS, INIT(32, 12, 6), N(ulWordsize) N(ulRounds) N(ulMacLength))
ARRIVES(SkipjackPrivateWrap, CKM_SKIPJACK_PRIVATE_WRAP, CK_SKIPJACK_PRIVATE_WRAP_PARAMS, INIT(3, b(3), 4, b(4), 5, 6, 7, b(7), b(5), b(5), b(6)), B(pPassword, ulPasswordLen) B(pPublicData, ulPublicDataLen) B(pPrimeP, ulPAndGLen) B(pBaseG, ulPAndGLen) B(pSubprimeQ, ulQLen) B(pRandomA, ulRandomLen))
ARRIVES(SkipjackRelayx, CKM_SKIPJACK_RELAYX, CK_SKIPJACK_RELAYX_PARAMS, INIT(1, b(1), 2, b(2), 3, b(3), 4, b(4), 5, b(5), 6, b(6), 7, b(7)), B(pOldWrappedX, ulOldWrappedXLen) B(pOldPassword, ulOldPasswordLen) B(pOldPublicData, ulOldPublicDataLen) B(pOldRandomA, ulOldRandomLen) B(pNewPassword, ulNewPasswordLen) B(pNewPublicData, ulNewPublicDataLen) B(pNewRandomA, ulNewRandomLen))
ARRIVES(StringData, CKM_AES_ECB_ENCRYPT_DATA, CK_KEY_DERIVATION_STRING_DATA, INIT(b(32), 32), B(pData, ulLen))
ARRIVES(DesCbcData, CKM_DES3_CBC_ENCRYPT_DATA, CK_DES_CBC_ENCRYPT_DATA_PARAMS, INIT({1, 2, 3, 4, 5, 6, 7, 8}, b(24), 24), F(iv, 8) B(pData, length))
ARRIVES(AesCbcData, CKM_AES_CBC_ENCRYPT_DATA, CK_AES_CBC_ENCRYPT_DATA_PARAMS, INIT({1, 2, 3, 4, 5, 6, 7, 8, 9}, b(32), 32), F(iv, 16) B(pData, length))
ARRIVES(AriaCbcData, CKM_ARIA_CBC_ENCRYPT_DATA, CK_ARIA_CBC_ENCRYPT_DATA_PARAMS, INIT({1, 2, 3, 4, 5, 6, 7, 8, 9}, b(32), 32), F(iv, 16) B(pData, length))
ARRIVES(CamelliaCbcData, CKM_CAMELLIA_CBC_ENCRYPT_DATA, CK_CAMELLIA_CBC_ENCRYPT_DATA_PARAMS, INIT({1, 2, 3, 4, 5, 6, 7, 8, 9}, b(32), 32), F(iv, 16) B(pData, length))
ARRIVES(SeedCbcData, CKM_SEED_CBC_ENCRYPT_DATA, CK_SEED_CBC_ENCRYPT_DATA_PARAMS, INIT({1, 2, 3, 4, 5, 6, 7, 8, 9}, b(32), 32), F(iv, 16) B(pData, length))
ARRIVES(Ecdh1, CKM_ECDH1_DERIVE, CK_ECDH1_DERIVE_PARAMS, INIT(CKD_SHA256_KDF, 5, b(5), 65, b(65)), N(kdf) B(pSharedData, ulSharedDataLen) B(pPublicData, ulPublicDataLen))
ARRIVES(Ecdh2, CKM_ECMQV_DERIVE, CK_ECDH2_DERIVE_PARAMS, INIT(CKD_NULL, 5, b(5), 6, b(6), 32, 77, 7, b(7)), N(kdf) B(pSharedData, ulSharedDataLen) B(pPublicData, ulPublicDataLen) N(ulPrivateDataLen) N(hPrivateData) B(pPublicData2, ulPublicDataLen2) H(77))
ARRIVES(EcMqv, CKM_ECMQV_DERIVE, CK_ECMQV_DERIVE_PARAMS, INIT(CKD_NULL, 5, b(5), 6, b(6), 32, 77, 7, b(7), 88), N(kdf) B(pSharedData, ulSharedDataLen) B(pPublicData, ulPublicDataLen) N(ulPrivateDataLen) N(hPrivateData) B(pPublicData2, ulPublicDataLen2) N(publicKey) H(77, 88))
ARRIVES(EcdhAesKeyWrap, CKM_ECDH_AES_KEY_WRAP, CK_ECDH_AES_KEY_WRAP_PARAMS, INIT(256, CKD_SHA1_KDF, 5, b(5)), N(ulAESKeyBits) N(kdf) B(pSharedData, ulSharedDataLen))
ARRIVES(X942Dh1, CKM_X9_42_DH_DERIVE, CK_X9_42_DH1_DERIVE_PARAMS, INIT(CKD_NULL, 5, b(5), 6, b(6)), N(kdf) B(pOtherInfo, ulOtherInfoLen) B(pPublicData, ulPublicDataLen))
ARRIVES(X942Dh2, CKM_X9_42_DH_HYBRID_DERIVE, CK_X9_42_DH2_DERIVE_PARAMS, INIT(CKD_NULL, 5, b(5), 6, b(6), 32, 77, 7, b(7)), N(kdf) B(pOtherInfo, ulOtherInfoLen) B(pPublicData, ulPublicDataLen) N(ulPrivateDataLen) N(hPrivateData) B(pPublicData2, ulPublicDataLen2) H(77))
ARRIVES(X942Mqv, CKM_X9_42_MQV_DERIVE, CK_X9_42_MQV_DERIVE_PARAMS, INIT(CKD_NULL, 5, b(5), 6, b(6), 32, 77, 7, b(7), 88), N(kdf) B(pOtherInfo, ulOtherInfoLen) B(pPublicData, ulPublicDataLen) N(ulPrivateDataLen) N(hPrivateData) B(pPublicData2, ulPublicDataLen2) N(publicKey) H(77, 88))
ARRIVES(Kea, CKM_KEA_KEY_DERIVE, CK_KEA_DERIVE_PARAMS, INIT(CK_TRUE, 8, b(8), b(8), 9, b(9)), N(isSender) B(pRandomA, ulRandomLen) B(pRandomB, ulRandomLen) B(pPublicData, ulPublicDataLen))
ARRIVES(GostDerive, CKM_GOSTR3410_DERIVE, CK_GOSTR3410_DERIVE_PARAMS, INIT(CKD_CPDIVERSIFY_KDF, b(64), 64, b(8), 8), N(kdf) B(pPublicData, ulPublicDataLen) B(pUKM, ulUKMLen))
ARRIVES(GostWrap, CKM_GOSTR3410_KEY_WRAP, CK_GOSTR3410_KEY_WRAP_PARAMS, INIT(b(9), 9, b(8), 8, 66), B(pWrapOID, ulWrapOIDLen) B(pUKM, ulUKMLen) N(hKey) H(66))
ARRIVES(X3dhInitiate, CKM_X3DH_INITIALIZE, CK_X3DH_INITIATE_PARAMS, INIT(CKD_NULL, 1, 2, b(64), b(32), 3, 4), N(kdf) N(pPeer_identity) N(pPeer_prekey) F(pPrekey_signature, 64) F(pOnetime_key, 32) N(pOwn_identity) N(pOwn_ephemeral) H(1, 2, 3, 4))
ARRIVES(X3dhRespond, CKM_X3DH_RESPOND, CK_X3DH_RESPOND_PARAMS, INIT(CKD_NULL, b(32), b(32), b(32), 5, b(32)), N(kdf) F(pIdentity_id, 32) F(pPrekey_id, 32) F(pOnetime_id, 32) N(pInitiator_identity) F(pInitiator_ephemeral, 32) H(5))
ARRIVES(RatchetInitialize, CKM_X2RATCHET_INITIALIZE, CK_X2RATCHET_INITIALIZE_PARAMS, INIT(b(32), 1, 2, 3, CK_TRUE, 4, CKM_AES_GCM, 6), F(sk, 32) N(peer_public_prekey) N(peer_public_identity) N(own_public_identity) N(bEncryptedHeader) N(eCurve) N(aeadMechanism) N(kdfMechanism) H(1, 2, 3))
ARRIVES(RatchetRespond, CKM_X2RATCHET_RESPOND, CK_X2RATCHET_RESPOND_PARAMS, INIT(b(32), 1, 2, 3, CK_TRUE, 4, CKM_AES_GCM, 6), F(sk, 32) N(own_prekey) N(initiator_identity) N(own_public_identity) N(bEncryptedHeader) N(eCurve) N(aeadMechanism) N(kdfMechanism) H(1, 2, 3))
ARRIVES(Eddsa, CKM_EDDSA, CK_EDDSA_PARAMS, INIT(CK_TRUE, 6, b(6)), N(phFlag) B(pContextData, ulContextDataLen))
ARRIVES(Xeddsa, CKM_XEDDSA, CK_XEDDSA_PARAMS, INIT(CKM_SHA512), N(hash))
ARRIVES(MlDsa, CKM_ML_DSA, CK_SIGN_ADDITIONAL_CONTEXT, INIT(CKH_HEDGE_REQUIRED, b(6), 6), N(hedgeVariant) B(pContext, ulContextLen))
ARRIVES(HashMlDsa, CKM_HASH_ML_DSA, CK_HASH_SIGN_ADDITIONAL_CONTEXT, INIT(CKH_HEDGE_REQUIRED, b(6), 6, CKM_SHA512), N(hedgeVariant) B(pContext, ulContextLen) N(hash))
ARRIVES(DsaParameterGen, CKM_DSA_PROBABILISTIC_PARAMETER_GEN, CK_DSA_PARAMETER_GEN_PARAM, INIT(CKM_SHA256, b(20), 20, 3), N(hash) B(pSeed, ulSeedLen) N(ulIndex))
ARRIVES(Pbe, CKM_PBE_SHA1_DES3_EDE_CBC, CK_PBE_PARAMS, INIT(b(8), b(6), 6, b(9), 9, 1000), B(pPassword, ulPasswordLen) B(pSalt, ulSaltLen) N(ulIteration))
ARRIVES(Pbkd2, CKM_PKCS5_PBKD2, CK_PKCS5_PBKD2_PARAMS2, INIT(CKZ_SALT_SPECIFIED, b(16), 16, 1000, CKP_PKCS5_PBKD2_HMAC_SHA256, b(3), 3, b(10), 10), N(saltSource) B(pSaltSourceData, ulSaltSourceDataLen) N(iterations) N(prf) B(pPrfData, ulPrfDataLen) B(pPassword, ulPasswordLen))
ARRIVES(Ssl3Master, CKM_SSL3_MASTER_KEY_DERIVE, CK_SSL3_MASTER_KEY_DERIVE_PARAMS, INIT({b(28), 28, b(32), 32}, nullptr), B(RandomInfo.pClientRandom, RandomInfo.ulClientRandomLen) B(RandomInfo.pServerRandom, RandomInfo.ulServerRandomLen) N(pVersion))
ARRIVES(Tls12Master, CKM_TLS12_MASTER_KEY_DERIVE_DH, CK_TLS12_MASTER_KEY_DERIVE_PARAMS, INIT({b(28), 28, b(32), 32}, nullptr, CKM_SHA384), B(RandomInfo.pClientRandom, RandomInfo.ulClientRandomLen) B(RandomInfo.pServerRandom, RandomInfo.ulServerRandomLen) N(pVersion) N(prfHashMechanism))
ARRIVES(Tls12ExtendedMaster, CKM_NSS_TLS_EXTENDED_MASTER_KEY_DERIVE_DH, CK_TLS12_EXTENDED_MASTER_KEY_DERIVE_PARAMS, INIT(CKM_SHA256, b(32), 32, nullptr), N(prfHashMechanism) B(pSessionHash, ulSessionHashLen) N(pVersion))
ARRIVES(TlsKdf, CKM_TLS_KDF, CK_TLS_KDF_PARAMS, INIT(CKM_SHA256, b(10), 10, {b(31), 31, b(32), 32}, b(4), 4), N(prfMechanism) B(pLabel, ulLabelLength) B(RandomInfo.pClientRandom, RandomInfo.ulClientRandomLen) B(RandomInfo.pServerRandom, RandomInfo.ulServerRandomLen) B(pContextData, ulContextDataLength))
ARRIVES(TlsMac, CKM_TLS_MAC, CK_TLS_MAC_PARAMS, INIT(CKM_SHA256, 12, 2), N(prfHashMechanism) N(ulMacLength) N(ulServerOrClient))
ARRIVES(WtlsMaster, CKM_WTLS_MASTER_KEY_DERIVE, CK_WTLS_MASTER_KEY_DERIVE_PARAMS, INIT(CKM_SHA_1, {b(16), 16, b(17), 17}, nullptr), N(DigestMechanism) B(RandomInfo.pClientRandom, RandomInfo.ulClientRandomLen) B(RandomInfo.pServerRandom, RandomInfo.ulServerRandomLen) N(pVersion))
ARRIVES(TlsPrf, CKM_TLS_PRF, CK_TLS_PRF_PARAMS, INIT(b(8), 8, b(9), 9, nullptr, nullptr), B(pSeed, ulSeedLen) B(pLabel, ulLabelLen) N(pOutput) N(pulOutputLen))
ARRIVES(WtlsPrf, CKM_WTLS_PRF, CK_WTLS_PRF_PARAMS, INIT(CKM_SHA_1, b(8), 8, b(9), 9, nullptr, nullptr), N(DigestMechanism) B(pSeed, ulSeedLen) B(pLabel, ulLabelLen) N(pOutput) N(pulOutputLen))
ARRIVES(Ssl3KeyMaterial, CKM_SSL3_KEY_AND_MAC_DERIVE, CK_SSL3_KEY_MAT_PARAMS, INIT(160, 128, 64, CK_TRUE, {b(28), 28, b(32), 32}, nullptr), N(ulMacSizeInBits) N(ulKeySizeInBits) N(ulIVSizeInBits) N(bIsExport) B(RandomInfo.pClientRandom, RandomInfo.ulClientRandomLen) B(RandomInfo.pServerRandom, RandomInfo.ulServerRandomLen) N(pReturnedKeyMaterial))
ARRIVES(WtlsKeyMaterial, CKM_WTLS_CLIENT_KEY_AND_MAC_DERIVE, CK_WTLS_KEY_MAT_PARAMS, INIT(CKM_SHA_1, 160, 128, 64, 3, CK_TRUE, {b(16), 16, b(17), 17}, nullptr), N(DigestMechanism) N(ulMacSizeInBits) N(ulKeySizeInBits) N(ulIVSizeInBits) N(ulSequenceNumber) N(bIsExport) B(RandomInfo.pClientRandom, RandomInfo.ulClientRandomLen) B(RandomInfo.pServerRandom, RandomInfo.ulServerRandomLen) N(pReturnedKeyMaterial))
ARRIVES(NssMacConstantTime, CKM_NSS_HMAC_CONSTANT_TIME, CK_NSS_MAC_CONSTANT_TIME_PARAMS, INIT(CKM_SHA_1_HMAC, 400, b(13), 13), N(macAlg) N(ulBodyTotalLen) B(pHeader, ulHeaderLen))
ARRIVES(HkdfWithSalt, CKM_HKDF_DERIVE, CK_HKDF_PARAMS, INIT(CK_TRUE, CK_FALSE, CKM_SHA256, CKF_HKDF_SALT_DATA, b(8), 8, 0xdead, b(9), 9), N(bExtract) N(bExpand) N(prfHashMechanism) N(ulSaltType) B(pSalt, ulSaltLen) B(pInfo, ulInfoLen) EXPECT_EQ(got.hSaltKey, 0U);)
ARRIVES(HkdfWithKey, CKM_HKDF_DATA, CK_HKDF_PARAMS, INIT(CK_FALSE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_KEY, reinterpret_cast<CK_BYTE_PTR>(1), 8, 99, b(9), 9), N(bExtract) N(bExpand) N(ulSaltType) N(hSaltKey) B(pInfo, ulInfoLen) H(99) EXPECT_EQ(got.pSalt, nullptr);)
ARRIVES(NssHkdf, CKM_NSS_HKDF_SHA256, CK_NSS_HKDFParams, INIT(CK_TRUE, b(8), 8, CK_TRUE, b(9), 9), N(bExtract) B(pSalt, ulSaltLen) N(bExpand) B(pInfo, ulInfoLen))
ARRIVES(Ike2PrfPlus, CKM_NSS_IKE_PRF_PLUS_DERIVE, CK_IKE2_PRF_PLUS_DERIVE_PARAMS, INIT(CKM_SHA256_HMAC, CK_TRUE, 12, b(9), 9), N(prfMechanism) N(bHasSeedKey) N(hSeedKey) B(pSeedData, ulSeedDataLen) H(12))
ARRIVES(Ike2PrfPlusWithoutKey, CKM_IKE2_PRF_PLUS_DERIVE, CK_IKE2_PRF_PLUS_DERIVE_PARAMS, INIT(CKM_SHA256_HMAC, CK_FALSE, 0xdead, b(9), 9), N(bHasSeedKey) B(pSeedData, ulSeedDataLen) EXPECT_EQ(got.hSeedKey, 0U);)
ARRIVES(IkePrf, CKM_NSS_IKE_PRF_DERIVE, CK_IKE_PRF_DERIVE_PARAMS, INIT(CKM_SHA256_HMAC, CK_FALSE, CK_TRUE, b(8), 8, b(9), 9, 13), N(prfMechanism) N(bDataAsKey) N(bRekey) B(pNi, ulNiLen) B(pNr, ulNrLen) N(hNewKey) H(13))
ARRIVES(Ike1Prf, CKM_NSS_IKE1_PRF_DERIVE, CK_IKE1_PRF_DERIVE_PARAMS, INIT(CKM_SHA256_HMAC, CK_TRUE, 14, 15, b(8), 8, b(7), 7, 2), N(prfMechanism) N(bHasPrevKey) N(hKeygxy) N(hPrevKey) B(pCKYi, ulCKYiLen) B(pCKYr, ulCKYrLen) N(keyNumber) H(14, 15))
ARRIVES(Ike1Extended, CKM_NSS_IKE1_APP_B_PRF_DERIVE, CK_IKE1_EXTENDED_DERIVE_PARAMS, INIT(CKM_SHA256_HMAC, CK_TRUE, 16, b(9), 9), N(prfMechanism) N(bHasKeygxy) N(hKeygxy) B(pExtraData, ulExtraDataLen) H(16))
ARRIVES(Ike1ExtendedAsOneMechanism, CKM_NSS_IKE1_APP_B_PRF_DERIVE, params::UlongParameter, INIT(CKM_SHA256_HMAC), N(value))
ARRIVES(MacGeneral, CKM_SHA256_HMAC_GENERAL, params::UlongParameter, INIT(16), N(value))
ARRIVES(ExtractKey, CKM_EXTRACT_KEY_FROM_KEY, params::UlongParameter, INIT(21), N(value))
ARRIVES(ConcatenateKeys, CKM_CONCATENATE_BASE_AND_KEY, params::HandleParameter, INIT(33), N(handle) H(33))
ARRIVES(Kip, CKM_KIP_DERIVE, CK_KIP_PARAMS, INIT(nullptr, 17, b(9), 9), N(pMechanism) N(hKey) B(pSeed, ulSeedLen) H(17))
ARRIVES(FeedbackKdf, CKM_SP800_108_FEEDBACK_KDF, CK_SP800_108_FEEDBACK_KDF_PARAMS, INIT(CKM_AES_CMAC, 3, nullptr, 16, b(16), 2, nullptr), N(prfType) N(ulNumberOfDataParams) B(pIV, ulIVLen) N(ulAdditionalDerivedKeys))
ARRIVES(JpakeRound2, CKM_NSS_JPAKE_ROUND2_SHA1, CK_NSS_JPAKERound2Params, INIT(b(9), 9, {b(1), 1, b(2), 2, b(3), 3}, {b(4), 4, b(5), 5, b(6), 6}, {b(7), 7, b(8), 8, b(9), 9}), B(pSharedKey, ulSharedKeyLen) B(gx3.pGX, gx3.ulGXLen) B(gx3.pGV, gx3.ulGVLen) B(gx3.pR, gx3.ulRLen) B(gx4.pGX, gx4.ulGXLen) B(gx4.pGV, gx4.ulGVLen) B(gx4.pR, gx4.ulRLen) N(A.ulGXLen) N(A.ulGVLen) N(A.ulRLen))
ARRIVES(JpakeFinal, CKM_NSS_JPAKE_FINAL_SHA256, CK_NSS_JPAKEFinalParams, INIT({b(4), 4, b(5), 5, b(6), 6}), B(B.pGX, B.ulGXLen) B(B.pGV, B.ulGVLen) B(B.pR, B.ulRLen))
// clang-format on

#undef N
#undef B
#undef F
#undef H
#undef INIT
#undef ARRIVES

}  // namespace
}  // namespace p11shim
