// Every mechanism-parameter struct of PKCS#11 2.40 and 3.0, of 3.1 and 3.2 as far as known, and of NSS: one
// description per struct, from which it is encoded, decoded, written back and printed. Which mechanism takes
// which struct is in mechanism_families.h. To add a struct, add its PARAMS here and its layout there.
//
// The order of the fields is the order on the wire; a number on which another field depends stands before it.
#pragma once

#include "calls/parameter_layouts.h"

namespace p11shim::params {

// Parameters that are one CK_ULONG or one object handle.
struct UlongParameter {
  CK_ULONG value;
};
struct HandleParameter {
  CK_OBJECT_HANDLE handle;
};

template <auto M>
using Ckm = Named<M, NameKind::ckm>;
template <auto M>
using Ckg = Named<M, NameKind::ckg>;
template <auto M>
using Generator = Named<M, NameKind::ckg_generator>;
template <auto M>
using Ckd = Named<M, NameKind::ckd>;

// A described struct has the name of the C struct; S is that struct.
#define PARAMS(STRUCT, ...)                           \
  template <>                                         \
  struct Params<STRUCT> {                             \
    using Struct = STRUCT;                            \
    using S = STRUCT;                                 \
    static constexpr std::string_view name = #STRUCT; \
    using Fields = Types<__VA_ARGS__>;                \
  };

PARAMS(UlongParameter, Number<&S::value>)
PARAMS(HandleParameter, Handle<&S::handle>)

// clang-format off
// RSA
PARAMS(CK_RSA_PKCS_PSS_PARAMS, Ckm<&S::hashAlg>, Ckg<&S::mgf>, Number<&S::sLen>)
PARAMS(CK_RSA_PKCS_OAEP_PARAMS, Ckm<&S::hashAlg>, Ckg<&S::mgf>, Named<&S::source, NameKind::ckz>, Buffer<&S::pSourceData, &S::ulSourceDataLen>)
PARAMS(CK_RSA_AES_KEY_WRAP_PARAMS, Number<&S::ulAESKeyBits>, Pointer<&S::pOAEPParams>)
PARAMS(CK_KEY_WRAP_SET_OAEP_PARAMS, Number<&S::bBC>, Buffer<&S::pX, &S::ulXLen>)

// Ciphers with associated data
PARAMS(CK_GCM_PARAMS, Buffer<&S::pIv, &S::ulIvLen>, Number<&S::ulIvBits>, Buffer<&S::pAAD, &S::ulAADLen>, Number<&S::ulTagBits>)
PARAMS(CK_NSS_GCM_PARAMS, Buffer<&S::pIv, &S::ulIvLen>, Buffer<&S::pAAD, &S::ulAADLen>, Number<&S::ulTagBits>)
PARAMS(CK_GCM_MESSAGE_PARAMS, Number<&S::ulIvLen>, InOut<&S::pIv, BytesIn<&S::ulIvLen>>, Number<&S::ulIvFixedBits>, Generator<&S::ivGenerator>, Number<&S::ulTagBits>, InOut<&S::pTag, BitsIn<&S::ulTagBits>>)
PARAMS(CK_GCM_WRAP_PARAMS, Number<&S::ulIvLen>, InOut<&S::pIv, BytesIn<&S::ulIvLen>>, Number<&S::ulIvFixedBits>, Generator<&S::ivGenerator>, Buffer<&S::pAAD, &S::ulAADLen>, Number<&S::ulTagBits>)
PARAMS(CK_CCM_PARAMS, Number<&S::ulDataLen>, Buffer<&S::pNonce, &S::ulNonceLen>, Buffer<&S::pAAD, &S::ulAADLen>, Number<&S::ulMACLen>)
PARAMS(CK_CCM_MESSAGE_PARAMS, Number<&S::ulDataLen>, Number<&S::ulNonceLen>, InOut<&S::pNonce, BytesIn<&S::ulNonceLen>>, Number<&S::ulNonceFixedBits>, Generator<&S::nonceGenerator>, Number<&S::ulMACLen>, InOut<&S::pMAC, BytesIn<&S::ulMACLen>>)
PARAMS(CK_CCM_WRAP_PARAMS, Number<&S::ulDataLen>, Number<&S::ulNonceLen>, InOut<&S::pNonce, BytesIn<&S::ulNonceLen>>, Number<&S::ulNonceFixedBits>, Generator<&S::nonceGenerator>, Buffer<&S::pAAD, &S::ulAADLen>, Number<&S::ulMACLen>)
PARAMS(CK_SALSA20_CHACHA20_POLY1305_PARAMS, Buffer<&S::pNonce, &S::ulNonceLen>, Buffer<&S::pAAD, &S::ulAADLen>)
PARAMS(CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS, Number<&S::ulNonceLen>, InOut<&S::pNonce, BytesIn<&S::ulNonceLen>>, InOut<&S::pTag, Exactly<16>>)
PARAMS(CK_NSS_AEAD_PARAMS, Buffer<&S::pNonce, &S::ulNonceLen>, Buffer<&S::pAAD, &S::ulAADLen>, Number<&S::ulTagLen>)

// Other ciphers
PARAMS(CK_AES_CTR_PARAMS, Number<&S::ulCounterBits>, Octets<&S::cb>)
PARAMS(CK_CAMELLIA_CTR_PARAMS, Number<&S::ulCounterBits>, Octets<&S::cb>)
PARAMS(CK_CHACHA20_PARAMS, Number<&S::blockCounterBits>, Input<&S::pBlockCounter, BitsIn<&S::blockCounterBits>>, Number<&S::ulNonceBits>, Input<&S::pNonce, BitsIn<&S::ulNonceBits>>)
PARAMS(CK_SALSA20_PARAMS, Input<&S::pBlockCounter, Exactly<8>>, Number<&S::ulNonceBits>, Input<&S::pNonce, BitsIn<&S::ulNonceBits>>)
PARAMS(CK_RC2_CBC_PARAMS, Number<&S::ulEffectiveBits>, Octets<&S::iv>)
PARAMS(CK_RC2_MAC_GENERAL_PARAMS, Number<&S::ulEffectiveBits>, Number<&S::ulMacLength>)
PARAMS(CK_RC5_PARAMS, Number<&S::ulWordsize>, Number<&S::ulRounds>)
PARAMS(CK_RC5_CBC_PARAMS, Number<&S::ulWordsize>, Number<&S::ulRounds>, Buffer<&S::pIv, &S::ulIvLen>)
PARAMS(CK_RC5_MAC_GENERAL_PARAMS, Number<&S::ulWordsize>, Number<&S::ulRounds>, Number<&S::ulMacLength>)
PARAMS(CK_SKIPJACK_PRIVATE_WRAP_PARAMS, Secret<Buffer<&S::pPassword, &S::ulPasswordLen>>, Buffer<&S::pPublicData, &S::ulPublicDataLen>, Number<&S::ulPAndGLen>, Number<&S::ulQLen>, Number<&S::ulRandomLen>, Input<&S::pRandomA, BytesIn<&S::ulRandomLen>>, Input<&S::pPrimeP, BytesIn<&S::ulPAndGLen>>, Input<&S::pBaseG, BytesIn<&S::ulPAndGLen>>, Input<&S::pSubprimeQ, BytesIn<&S::ulQLen>>)
PARAMS(CK_SKIPJACK_RELAYX_PARAMS, Buffer<&S::pOldWrappedX, &S::ulOldWrappedXLen>, Secret<Buffer<&S::pOldPassword, &S::ulOldPasswordLen>>, Buffer<&S::pOldPublicData, &S::ulOldPublicDataLen>, Buffer<&S::pOldRandomA, &S::ulOldRandomLen>, Secret<Buffer<&S::pNewPassword, &S::ulNewPasswordLen>>, Buffer<&S::pNewPublicData, &S::ulNewPublicDataLen>, Buffer<&S::pNewRandomA, &S::ulNewRandomLen>)

// Derivation by encrypting or joining data
PARAMS(CK_KEY_DERIVATION_STRING_DATA, Secret<Buffer<&S::pData, &S::ulLen>>)
PARAMS(CK_DES_CBC_ENCRYPT_DATA_PARAMS, Octets<&S::iv>, Secret<Buffer<&S::pData, &S::length>>)
PARAMS(CK_AES_CBC_ENCRYPT_DATA_PARAMS, Octets<&S::iv>, Secret<Buffer<&S::pData, &S::length>>)
PARAMS(CK_CAMELLIA_CBC_ENCRYPT_DATA_PARAMS, Octets<&S::iv>, Secret<Buffer<&S::pData, &S::length>>)
PARAMS(CK_ARIA_CBC_ENCRYPT_DATA_PARAMS, Octets<&S::iv>, Secret<Buffer<&S::pData, &S::length>>)
PARAMS(CK_SEED_CBC_ENCRYPT_DATA_PARAMS, Octets<&S::iv>, Secret<Buffer<&S::pData, &S::length>>)

// Agreement
PARAMS(CK_ECDH1_DERIVE_PARAMS, Ckd<&S::kdf>, Buffer<&S::pSharedData, &S::ulSharedDataLen>, Buffer<&S::pPublicData, &S::ulPublicDataLen>)
PARAMS(CK_ECDH2_DERIVE_PARAMS, Ckd<&S::kdf>, Buffer<&S::pSharedData, &S::ulSharedDataLen>, Buffer<&S::pPublicData, &S::ulPublicDataLen>, Number<&S::ulPrivateDataLen>, Handle<&S::hPrivateData>, Buffer<&S::pPublicData2, &S::ulPublicDataLen2>)
PARAMS(CK_ECMQV_DERIVE_PARAMS, Ckd<&S::kdf>, Buffer<&S::pSharedData, &S::ulSharedDataLen>, Buffer<&S::pPublicData, &S::ulPublicDataLen>, Number<&S::ulPrivateDataLen>, Handle<&S::hPrivateData>, Buffer<&S::pPublicData2, &S::ulPublicDataLen2>, Handle<&S::publicKey>)
PARAMS(CK_ECDH_AES_KEY_WRAP_PARAMS, Number<&S::ulAESKeyBits>, Ckd<&S::kdf>, Buffer<&S::pSharedData, &S::ulSharedDataLen>)
PARAMS(CK_X9_42_DH1_DERIVE_PARAMS, Ckd<&S::kdf>, Buffer<&S::pOtherInfo, &S::ulOtherInfoLen>, Buffer<&S::pPublicData, &S::ulPublicDataLen>)
PARAMS(CK_X9_42_DH2_DERIVE_PARAMS, Ckd<&S::kdf>, Buffer<&S::pOtherInfo, &S::ulOtherInfoLen>, Buffer<&S::pPublicData, &S::ulPublicDataLen>, Number<&S::ulPrivateDataLen>, Handle<&S::hPrivateData>, Buffer<&S::pPublicData2, &S::ulPublicDataLen2>)
PARAMS(CK_X9_42_MQV_DERIVE_PARAMS, Ckd<&S::kdf>, Buffer<&S::pOtherInfo, &S::ulOtherInfoLen>, Buffer<&S::pPublicData, &S::ulPublicDataLen>, Number<&S::ulPrivateDataLen>, Handle<&S::hPrivateData>, Buffer<&S::pPublicData2, &S::ulPublicDataLen2>, Handle<&S::publicKey>)
PARAMS(CK_KEA_DERIVE_PARAMS, Number<&S::isSender>, Number<&S::ulRandomLen>, Input<&S::pRandomA, BytesIn<&S::ulRandomLen>>, Input<&S::pRandomB, BytesIn<&S::ulRandomLen>>, Buffer<&S::pPublicData, &S::ulPublicDataLen>)
PARAMS(CK_GOSTR3410_DERIVE_PARAMS, Ckd<&S::kdf>, Buffer<&S::pPublicData, &S::ulPublicDataLen>, Buffer<&S::pUKM, &S::ulUKMLen>)
PARAMS(CK_GOSTR3410_KEY_WRAP_PARAMS, Buffer<&S::pWrapOID, &S::ulWrapOIDLen>, Buffer<&S::pUKM, &S::ulUKMLen>, Handle<&S::hKey>)
PARAMS(CK_X3DH_INITIATE_PARAMS, Number<&S::kdf>, Handle<&S::pPeer_identity>, Handle<&S::pPeer_prekey>, Input<&S::pPrekey_signature, Exactly<64>>, Input<&S::pOnetime_key, Exactly<32>>, Handle<&S::pOwn_identity>, Handle<&S::pOwn_ephemeral>)
PARAMS(CK_X3DH_RESPOND_PARAMS, Number<&S::kdf>, Input<&S::pIdentity_id, Exactly<32>>, Input<&S::pPrekey_id, Exactly<32>>, Input<&S::pOnetime_id, Exactly<32>>, Handle<&S::pInitiator_identity>, Input<&S::pInitiator_ephemeral, Exactly<32>>)
PARAMS(CK_X2RATCHET_INITIALIZE_PARAMS, Secret<Input<&S::sk, Exactly<32>>>, Handle<&S::peer_public_prekey>, Handle<&S::peer_public_identity>, Handle<&S::own_public_identity>, Number<&S::bEncryptedHeader>, Number<&S::eCurve>, Ckm<&S::aeadMechanism>, Number<&S::kdfMechanism>)
PARAMS(CK_X2RATCHET_RESPOND_PARAMS, Secret<Input<&S::sk, Exactly<32>>>, Handle<&S::own_prekey>, Handle<&S::initiator_identity>, Handle<&S::own_public_identity>, Number<&S::bEncryptedHeader>, Number<&S::eCurve>, Ckm<&S::aeadMechanism>, Number<&S::kdfMechanism>)

// Signatures and parameter generation
PARAMS(CK_EDDSA_PARAMS, Number<&S::phFlag>, Buffer<&S::pContextData, &S::ulContextDataLen>)
PARAMS(CK_XEDDSA_PARAMS, Ckm<&S::hash>)
PARAMS(CK_SIGN_ADDITIONAL_CONTEXT, Named<&S::hedgeVariant, NameKind::ckh_hedge>, Buffer<&S::pContext, &S::ulContextLen>)
PARAMS(CK_HASH_SIGN_ADDITIONAL_CONTEXT, Named<&S::hedgeVariant, NameKind::ckh_hedge>, Buffer<&S::pContext, &S::ulContextLen>, Ckm<&S::hash>)
PARAMS(CK_DSA_PARAMETER_GEN_PARAM, Ckm<&S::hash>, Buffer<&S::pSeed, &S::ulSeedLen>, Number<&S::ulIndex>)
PARAMS(CK_CMS_SIG_PARAMS, Handle<&S::certificateHandle>, MechanismPointer<&S::pSigningMechanism>, MechanismPointer<&S::pDigestMechanism>, CString<&S::pContentType>, Buffer<&S::pRequestedAttributes, &S::ulRequestedAttributesLen>, Buffer<&S::pRequiredAttributes, &S::ulRequiredAttributesLen>)
PARAMS(CK_KIP_PARAMS, MechanismPointer<&S::pMechanism>, Handle<&S::hKey>, Buffer<&S::pSeed, &S::ulSeedLen>)

// One-time passwords
PARAMS(CK_OTP_PARAM, Typed<&S::type, &S::pValue, &S::ulValueLen, Case<CK_OTP_FLAGS, Layouts<UlongParameter>>, Case<CK_OTP_OUTPUT_LENGTH, Layouts<UlongParameter>>, Case<CK_OTP_OUTPUT_FORMAT, Layouts<UlongParameter>>>)
PARAMS(CK_OTP_PARAMS, Secret<ArrayOf<&S::pParams, &S::ulCount>>)

// Passwords
PARAMS(CK_PBE_PARAMS, Output<&S::pInitVector, Exactly<8>>, Secret<Buffer<&S::pPassword, &S::ulPasswordLen>>, Buffer<&S::pSalt, &S::ulSaltLen>, Number<&S::ulIteration>)
PARAMS(CK_PKCS5_PBKD2_PARAMS, Named<&S::saltSource, NameKind::ckz_salt>, Buffer<&S::pSaltSourceData, &S::ulSaltSourceDataLen>, Number<&S::iterations>, Named<&S::prf, NameKind::ckp_prf>, Buffer<&S::pPrfData, &S::ulPrfDataLen>, Secret<BufferWithPointedLength<&S::pPassword, &S::ulPasswordLen>>)
PARAMS(CK_PKCS5_PBKD2_PARAMS2, Named<&S::saltSource, NameKind::ckz_salt>, Buffer<&S::pSaltSourceData, &S::ulSaltSourceDataLen>, Number<&S::iterations>, Named<&S::prf, NameKind::ckp_prf>, Buffer<&S::pPrfData, &S::ulPrfDataLen>, Secret<Buffer<&S::pPassword, &S::ulPasswordLen>>)

// SSL, TLS and WTLS
template <auto Member, auto IvBits>
using SslKeyMaterial = KeyMaterial<Member, BitsIn<IvBits>, OutIvs<&CK_SSL3_KEY_MAT_OUT::pIVClient, &CK_SSL3_KEY_MAT_OUT::pIVServer>,
    OutHandles<&CK_SSL3_KEY_MAT_OUT::hClientMacSecret, &CK_SSL3_KEY_MAT_OUT::hServerMacSecret, &CK_SSL3_KEY_MAT_OUT::hClientKey, &CK_SSL3_KEY_MAT_OUT::hServerKey>>;
template <auto Member, auto IvBits>
using WtlsKeyMaterial = KeyMaterial<Member, BitsIn<IvBits>, OutIvs<&CK_WTLS_KEY_MAT_OUT::pIV>, OutHandles<&CK_WTLS_KEY_MAT_OUT::hMacSecret, &CK_WTLS_KEY_MAT_OUT::hKey>>;
PARAMS(CK_SSL3_RANDOM_DATA, Buffer<&S::pClientRandom, &S::ulClientRandomLen>, Buffer<&S::pServerRandom, &S::ulServerRandomLen>)
PARAMS(CK_SSL3_MASTER_KEY_DERIVE_PARAMS, Inline<&S::RandomInfo>, Output<&S::pVersion, Exactly<sizeof(CK_VERSION)>>)
PARAMS(CK_SSL3_KEY_MAT_PARAMS, Number<&S::ulMacSizeInBits>, Number<&S::ulKeySizeInBits>, Number<&S::ulIVSizeInBits>, Number<&S::bIsExport>, Inline<&S::RandomInfo>, SslKeyMaterial<&S::pReturnedKeyMaterial, &S::ulIVSizeInBits>)
PARAMS(CK_TLS12_MASTER_KEY_DERIVE_PARAMS, Inline<&S::RandomInfo>, Output<&S::pVersion, Exactly<sizeof(CK_VERSION)>>, Ckm<&S::prfHashMechanism>)
PARAMS(CK_TLS12_EXTENDED_MASTER_KEY_DERIVE_PARAMS, Ckm<&S::prfHashMechanism>, Buffer<&S::pSessionHash, &S::ulSessionHashLen>, Output<&S::pVersion, Exactly<sizeof(CK_VERSION)>>)
PARAMS(CK_TLS12_KEY_MAT_PARAMS, Number<&S::ulMacSizeInBits>, Number<&S::ulKeySizeInBits>, Number<&S::ulIVSizeInBits>, Number<&S::bIsExport>, Inline<&S::RandomInfo>, SslKeyMaterial<&S::pReturnedKeyMaterial, &S::ulIVSizeInBits>, Ckm<&S::prfHashMechanism>)
PARAMS(CK_TLS_PRF_PARAMS, Buffer<&S::pSeed, &S::ulSeedLen>, Buffer<&S::pLabel, &S::ulLabelLen>, PointedOutput<&S::pOutput, &S::pulOutputLen>)
PARAMS(CK_TLS_KDF_PARAMS, Ckm<&S::prfMechanism>, Buffer<&S::pLabel, &S::ulLabelLength>, Inline<&S::RandomInfo>, Buffer<&S::pContextData, &S::ulContextDataLength>)
PARAMS(CK_TLS_MAC_PARAMS, Ckm<&S::prfHashMechanism>, Number<&S::ulMacLength>, Number<&S::ulServerOrClient>)
PARAMS(CK_WTLS_RANDOM_DATA, Buffer<&S::pClientRandom, &S::ulClientRandomLen>, Buffer<&S::pServerRandom, &S::ulServerRandomLen>)
PARAMS(CK_WTLS_MASTER_KEY_DERIVE_PARAMS, Ckm<&S::DigestMechanism>, Inline<&S::RandomInfo>, Output<&S::pVersion, Exactly<1>>)
PARAMS(CK_WTLS_PRF_PARAMS, Ckm<&S::DigestMechanism>, Buffer<&S::pSeed, &S::ulSeedLen>, Buffer<&S::pLabel, &S::ulLabelLen>, PointedOutput<&S::pOutput, &S::pulOutputLen>)
PARAMS(CK_WTLS_KEY_MAT_PARAMS, Ckm<&S::DigestMechanism>, Number<&S::ulMacSizeInBits>, Number<&S::ulKeySizeInBits>, Number<&S::ulIVSizeInBits>, Number<&S::ulSequenceNumber>, Number<&S::bIsExport>, Inline<&S::RandomInfo>, WtlsKeyMaterial<&S::pReturnedKeyMaterial, &S::ulIVSizeInBits>)
PARAMS(CK_NSS_MAC_CONSTANT_TIME_PARAMS, Ckm<&S::macAlg>, Number<&S::ulBodyTotalLen>, Buffer<&S::pHeader, &S::ulHeaderLen>)

// Key derivation functions
PARAMS(CK_HKDF_PARAMS, Number<&S::bExtract>, Number<&S::bExpand>, Ckm<&S::prfHashMechanism>, Named<&S::ulSaltType, NameKind::ckf_hkdf_salt>, When<&S::ulSaltType, CKF_HKDF_SALT_DATA, Buffer<&S::pSalt, &S::ulSaltLen>>, When<&S::ulSaltType, CKF_HKDF_SALT_KEY, Handle<&S::hSaltKey>>, Buffer<&S::pInfo, &S::ulInfoLen>)
PARAMS(CK_NSS_HKDFParams, Number<&S::bExtract>, Buffer<&S::pSalt, &S::ulSaltLen>, Number<&S::bExpand>, Buffer<&S::pInfo, &S::ulInfoLen>)
PARAMS(CK_IKE2_PRF_PLUS_DERIVE_PARAMS, Ckm<&S::prfMechanism>, Number<&S::bHasSeedKey>, When<&S::bHasSeedKey, CK_TRUE, Handle<&S::hSeedKey>>, Buffer<&S::pSeedData, &S::ulSeedDataLen>)
PARAMS(CK_IKE_PRF_DERIVE_PARAMS, Ckm<&S::prfMechanism>, Number<&S::bDataAsKey>, Number<&S::bRekey>, Buffer<&S::pNi, &S::ulNiLen>, Buffer<&S::pNr, &S::ulNrLen>, When<&S::bRekey, CK_TRUE, Handle<&S::hNewKey>>)
PARAMS(CK_IKE1_PRF_DERIVE_PARAMS, Ckm<&S::prfMechanism>, Number<&S::bHasPrevKey>, Handle<&S::hKeygxy>, When<&S::bHasPrevKey, CK_TRUE, Handle<&S::hPrevKey>>, Buffer<&S::pCKYi, &S::ulCKYiLen>, Buffer<&S::pCKYr, &S::ulCKYrLen>, Number<&S::keyNumber>)
PARAMS(CK_IKE1_EXTENDED_DERIVE_PARAMS, Ckm<&S::prfMechanism>, Number<&S::bHasKeygxy>, When<&S::bHasKeygxy, CK_TRUE, Handle<&S::hKeygxy>>, Buffer<&S::pExtraData, &S::ulExtraDataLen>)
PARAMS(CK_SP800_108_COUNTER_FORMAT, Number<&S::bLittleEndian>, Number<&S::ulWidthInBits>)
PARAMS(CK_SP800_108_DKM_LENGTH_FORMAT, Number<&S::dkmLengthMethod>, Number<&S::bLittleEndian>, Number<&S::ulWidthInBits>)
PARAMS(CK_PRF_DATA_PARAM, Typed<&S::type, &S::pValue, &S::ulValueLen, Case<CK_SP800_108_ITERATION_VARIABLE, Layouts<CK_SP800_108_COUNTER_FORMAT>>, Case<CK_SP800_108_OPTIONAL_COUNTER, Layouts<CK_SP800_108_COUNTER_FORMAT>>, Case<CK_SP800_108_DKM_LENGTH, Layouts<CK_SP800_108_DKM_LENGTH_FORMAT>>, Case<CK_SP800_108_KEY_HANDLE, Layouts<HandleParameter>>>)
PARAMS(CK_DERIVED_KEY, Template<&S::pTemplate, &S::ulAttributeCount>, OutHandlePointer<&S::phKey>)
PARAMS(CK_SP800_108_KDF_PARAMS, Ckm<&S::prfType>, ArrayOf<&S::pDataParams, &S::ulNumberOfDataParams>, ArrayOf<&S::pAdditionalDerivedKeys, &S::ulAdditionalDerivedKeys>)
PARAMS(CK_SP800_108_FEEDBACK_KDF_PARAMS, Ckm<&S::prfType>, ArrayOf<&S::pDataParams, &S::ulNumberOfDataParams>, Buffer<&S::pIV, &S::ulIVLen>, ArrayOf<&S::pAdditionalDerivedKeys, &S::ulAdditionalDerivedKeys>)

// J-PAKE of NSS: the same struct is sometimes given, sometimes to be filled.
struct JpakeFilled {
  using Struct = CK_NSS_JPAKEPublicValue;
  static constexpr std::string_view name = "CK_NSS_JPAKEPublicValue to be filled";
  using Fields = Types<SizedOutput<&Struct::pGX, &Struct::ulGXLen>, SizedOutput<&Struct::pGV, &Struct::ulGVLen>, SizedOutput<&Struct::pR, &Struct::ulRLen>>;
};
PARAMS(CK_NSS_JPAKEPublicValue, Buffer<&S::pGX, &S::ulGXLen>, Buffer<&S::pGV, &S::ulGVLen>, Buffer<&S::pR, &S::ulRLen>)
PARAMS(CK_NSS_JPAKERound1Params, Inline<&S::gx1, JpakeFilled>, Inline<&S::gx2, JpakeFilled>)
PARAMS(CK_NSS_JPAKERound2Params, Secret<Buffer<&S::pSharedKey, &S::ulSharedKeyLen>>, Inline<&S::gx3>, Inline<&S::gx4>, Inline<&S::A, JpakeFilled>)
PARAMS(CK_NSS_JPAKEFinalParams, Inline<&S::B>)
// clang-format on
#undef PARAMS

// An address is never this low, and no password this long.
inline constexpr CK_ULONG kLowestAddress = 64 << 10;

// CK_PKCS5_PBKD2_PARAMS and …PARAMS2 have one size: what is too low for a pointer to the length is the
// length.
template <>
inline bool fits(const CK_PKCS5_PBKD2_PARAMS2& params) {
  return params.ulPasswordLen < kLowestAddress;
}
// CK_GCM_PARAMS and CK_GCM_MESSAGE_PARAMS, which some applications also pass to C_MessageEncryptInit, have
// one size. Where one has the pointer and length of its AAD, the other has a small number and a pointer.
template <>
inline bool fits(const CK_GCM_PARAMS& params) {
  return params.pAAD == nullptr ? params.ulAADLen <= limits::kMaxBulk
                                : reinterpret_cast<std::uintptr_t>(params.pAAD) >= kLowestAddress;
}

}  // namespace p11shim::params
