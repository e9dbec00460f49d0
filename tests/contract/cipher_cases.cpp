// Encrypting and decrypting with each mechanism (sections 5.8 and 5.9).
#include <functional>

#include "cases.h"

namespace p11shim::contract {
namespace {

using Make = std::function<Mechanism()>;

// Single-part and multi-part, of several lengths, there and back.
void round_trips(Application& app, const Template& key_template, const Make& make,
                 std::initializer_list<std::size_t> sizes) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, key_template);
  for (std::size_t size : sizes) {
    const Bytes plain = pattern(size, 3);
    Mechanism mechanism = make();
    if (app.encrypt_init(session, &mechanism, key) != CKR_OK) break;
    app.encrypt(session, plain, Room::query());
    const Outcome whole = app.encrypt(session, plain, Room::of(size + 64));
    app.decrypt_init(session, &mechanism, key);
    app.decrypt(session, whole.bytes, Room::query());
    app.decrypt(session, whole.bytes, Room::of(size + 64));

    if (app.encrypt_init(session, &mechanism, key) != CKR_OK) break;
    Bytes parts;
    for (std::size_t at = 0; at < size; at += 7) {
      const Bytes part(plain.begin() + static_cast<std::ptrdiff_t>(at),
                       plain.begin() + static_cast<std::ptrdiff_t>(std::min(at + 7, size)));
      const Outcome piece = app.encrypt_update(session, part, Room::of(64));
      if (piece.rv != CKR_OK) break;
      parts.insert(parts.end(), piece.bytes.begin(), piece.bytes.end());
    }
    const Outcome last = app.encrypt_final(session, Room::of(64));
    if (last.rv == CKR_OK) parts.insert(parts.end(), last.bytes.begin(), last.bytes.end());
    app.note("parts make the whole", parts == whole.bytes);

    app.decrypt_init(session, &mechanism, key);
    for (std::size_t at = 0; at < parts.size(); at += 11) {
      const Bytes part(parts.begin() + static_cast<std::ptrdiff_t>(at),
                       parts.begin() + static_cast<std::ptrdiff_t>(std::min(at + 11, parts.size())));
      if (app.decrypt_update(session, part, Room::of(64)) != CKR_OK) break;
    }
    app.decrypt_final(session, Room::of(256));
  }
  app.finalize();
}

void aes_ecb(Application& app) {
  round_trips(app, aes(), [] { return Mechanism(CKM_AES_ECB); }, {0, 1, 15, 16, 32, 100, 160});
}
void aes_cbc(Application& app) {
  round_trips(app, aes(24), [] { return Mechanism(CKM_AES_CBC, pattern(16)); }, {0, 1, 16, 32, 100, 160});
}
void aes_cbc_pad(Application& app) {
  round_trips(app, aes(32), [] { return Mechanism(CKM_AES_CBC_PAD, pattern(16)); }, {0, 1, 3, 15, 16, 17, 31, 32, 100});
}
void aes_ctr(Application& app) {
  round_trips(app, aes(), [] { return Mechanism::ctr(pattern(16)); }, {0, 1, 15, 16, 17, 100});
}
void aes_ctr_narrow_counter(Application& app) {
  round_trips(app, aes(), [] { return Mechanism::ctr(Bytes(16, 0xff), 32); }, {16, 64});
}
void aes_gcm(Application& app) {
  round_trips(app, aes(), [] { return Mechanism::gcm(pattern(12), from_text("header")); }, {0, 1, 16, 33, 100});
}
void aes_gcm_no_aad(Application& app) {
  round_trips(app, aes(32), [] { return Mechanism::gcm(pattern(12)); }, {0, 5, 64});
}
void aes_gcm_short_tag(Application& app) {
  round_trips(app, aes(), [] { return Mechanism::gcm(pattern(12), {}, 96); }, {20});
}
void aes_gcm_long_iv(Application& app) {
  round_trips(app, aes(), [] { return Mechanism::gcm(pattern(60), from_text("a")); }, {20});
}
void des3_ecb(Application& app) {
  round_trips(app, des3(), [] { return Mechanism(CKM_DES3_ECB); }, {0, 7, 8, 24});
}
void des3_cbc(Application& app) {
  round_trips(app, des3(), [] { return Mechanism(CKM_DES3_CBC, pattern(8)); }, {8, 9, 64});
}
void des3_cbc_pad(Application& app) {
  round_trips(app, des3(), [] { return Mechanism(CKM_DES3_CBC_PAD, pattern(8)); }, {0, 1, 7, 8, 9, 64});
}
void chacha20_poly1305(Application& app) {
  const auto session = app.start_crypto();
  CK_OBJECT_HANDLE key = 0;
  if (app.create_object(session, secret(CKK_CHACHA20, pattern(32), "chacha"), &key) != CKR_OK) return;
  CK_SALSA20_CHACHA20_POLY1305_PARAMS parameter{};
  Bytes nonce = pattern(12), aad = from_text("header");
  parameter.pNonce = nonce.data();
  parameter.ulNonceLen = 12;
  parameter.pAAD = aad.data();
  parameter.ulAADLen = static_cast<CK_ULONG>(aad.size());
  Mechanism mechanism = Mechanism::raw(CKM_CHACHA20_POLY1305, &parameter, sizeof parameter);
  app.encrypt_init(session, &mechanism, key);
  const Outcome sealed = app.encrypt(session, pattern(40), Room::of(64));
  app.decrypt_init(session, &mechanism, key);
  app.decrypt(session, sealed.bytes, Room::of(64));
  app.finalize();
}

void aes_bad_parameters(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes());
  auto start = [&](Mechanism mechanism) {
    if (app.encrypt_init(session, &mechanism, key) == CKR_OK) app.encrypt(session, Bytes(16), Room::of(64));
  };
  start(Mechanism(CKM_AES_CBC));
  start(Mechanism(CKM_AES_CBC, Bytes(15)));
  start(Mechanism(CKM_AES_CBC, Bytes(17)));
  start(Mechanism::raw(CKM_AES_CBC, nullptr, 16));
  start(Mechanism(CKM_AES_ECB, Bytes(16)));
  start(Mechanism(CKM_AES_CTR));
  start(Mechanism(CKM_AES_CTR, Bytes(16)));
  start(Mechanism::ctr(Bytes(16), 0));
  start(Mechanism::ctr(Bytes(16), 129));
  start(Mechanism(CKM_AES_GCM));
  start(Mechanism(CKM_AES_GCM, Bytes(4)));
  start(Mechanism::gcm(pattern(12), {}, 129));
  start(Mechanism::gcm(pattern(12), {}, 7));
  if (!app.on("nss")) start(Mechanism(CKM_AES_CBC_PAD, Bytes(1)));  // there it reads on, past the parameter
  start(Mechanism(0x7fffffffUL));
  start(Mechanism(CKM_VENDOR_DEFINED | 3, Bytes(40, 2)));
  app.finalize();
}

void aes_gcm_tampered(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes());
  Mechanism gcm = Mechanism::gcm(pattern(12), from_text("aad")), other = Mechanism::gcm(pattern(12), from_text("aae"));
  app.encrypt_init(session, &gcm, key);
  Bytes sealed = app.encrypt(session, pattern(20), Room::of(64)).bytes;
  app.decrypt_init(session, &other, key);
  app.decrypt(session, sealed, Room::of(64));
  if (!sealed.empty()) sealed.back() ^= 1;
  app.decrypt_init(session, &gcm, key);
  app.decrypt(session, sealed, Room::of(64));
  app.decrypt_init(session, &gcm, key);
  app.decrypt(session, Bytes(4), Room::of(64));
  app.decrypt_init(session, &gcm, key);
  app.decrypt_update(session, sealed, Room::of(64));
  app.decrypt_final(session, Room::of(64));
  app.finalize();
}

void cbc_pad_bad_padding(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes());
  Mechanism pad(CKM_AES_CBC_PAD, Bytes(16));
  for (std::size_t size : {0u, 1u, 15u, 16u, 32u, 33u}) {
    app.decrypt_init(session, &pad, key);
    app.decrypt(session, pattern(size), Room::of(64));
  }
  app.decrypt_init(session, &pad, key);
  app.decrypt_update(session, pattern(32), Room::of(64));
  app.decrypt_final(session, Room::of(64));
  app.finalize();
}

void in_place(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes());
  Mechanism cbc(CKM_AES_CBC, Bytes(16)), pad(CKM_AES_CBC_PAD, Bytes(16)), ctr = Mechanism::ctr(Bytes(16));
  for (Mechanism* mechanism : {&cbc, &pad, &ctr}) {
    app.encrypt_init(session, mechanism, key);
    const Outcome sealed = app.encrypt(session, pattern(48), Room::in_place(64));
    app.decrypt_init(session, mechanism, key);
    app.decrypt(session, sealed.bytes, Room::in_place(64));
    app.encrypt_init(session, mechanism, key);
    app.encrypt_update(session, pattern(32), Room::in_place(64));
    app.encrypt_final(session, Room::of(64));
  }
  app.finalize();
}

void large_payloads(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes());
  Mechanism cbc(CKM_AES_CBC, Bytes(16));
  for (std::size_t size : {4096u, 65536u, 1048576u}) {
    app.encrypt_init(session, &cbc, key);
    const Outcome sealed = app.encrypt(session, pattern(size), Room::of(static_cast<CK_ULONG>(size)));
    Mechanism sha(CKM_SHA256);
    app.digest_init(session, &sha);
    app.digest(session, sealed.bytes, Room::of(32));
    app.decrypt_init(session, &cbc, key);
    const Outcome plain = app.decrypt(session, sealed.bytes, Room::of(static_cast<CK_ULONG>(size)));
    app.note("round trip", plain.bytes == pattern(size));
  }
  app.finalize();
}

// Large enough for shared memory, in parts, with room that is too small, and failing.
void large_parts(Application& app) {
  const auto session = app.start_crypto();
  const auto key = app.create(session, aes());
  Mechanism pad(CKM_AES_CBC_PAD, Bytes(16)), sha(CKM_SHA256);
  for (std::size_t size : {5000u, 70000u}) {
    const auto room = static_cast<CK_ULONG>(size + 32);
    app.encrypt_init(session, &pad, key);
    Bytes sealed;
    for (int i = 0; i < 2; ++i) {
      const Outcome part = app.encrypt_update(session, pattern(size, static_cast<std::uint8_t>(i)), Room::of(room));
      sealed.insert(sealed.end(), part.bytes.begin(), part.bytes.end());
    }
    const Outcome last = app.encrypt_final(session, Room::of(room));
    sealed.insert(sealed.end(), last.bytes.begin(), last.bytes.end());
    app.decrypt_init(session, &pad, key);
    app.decrypt(session, sealed, Room::query());
    app.decrypt(session, sealed, Room::of(4100));
    app.decrypt(session, sealed, Room::of(2 * room));
    sealed.back() ^= 1;
    app.decrypt_init(session, &pad, key);
    app.decrypt(session, sealed, Room::of(2 * room));
    app.digest_init(session, &sha);
    app.digest_update(session, sealed);
    app.digest_update(session, pattern(size));
    app.digest_final(session, Room::of(room));
  }
  app.finalize();
}

void rsa_pkcs_encrypt(Application& app) {
  const auto session = app.start_crypto();
  const auto public_key = app.create(session, rsa_public()), private_key = app.create(session, rsa_private());
  Mechanism pkcs(CKM_RSA_PKCS);
  for (std::size_t size : {0u, 1u, 32u, 245u, 246u, 256u, 300u}) {
    app.encrypt_init(session, &pkcs, public_key);
    app.encrypt(session, pattern(size), Room::query());
    const Outcome sealed = app.encrypt(session, pattern(size), Room::of(256));
    if (sealed.rv != CKR_OK) continue;
    app.decrypt_init(session, &pkcs, private_key);
    app.decrypt(session, sealed.bytes, Room::query());
    app.decrypt(session, sealed.bytes, Room::of(256));
  }
  app.finalize();
}

void rsa_decrypt_small_buffers(Application& app) {
  const auto session = app.start_crypto();
  const auto public_key = app.create(session, rsa_public()), private_key = app.create(session, rsa_private());
  Mechanism pkcs(CKM_RSA_PKCS);
  app.encrypt_init(session, &pkcs, public_key);
  app.encrypt(session, pattern(20), Room::of(255));
  const Outcome sealed = app.encrypt(session, pattern(20), Room::of(256));
  app.decrypt_init(session, &pkcs, private_key);
  app.decrypt(session, sealed.bytes, Room::of(19));
  app.decrypt(session, sealed.bytes, Room::of(20));
  app.decrypt(session, sealed.bytes, Room::of(256));
  app.finalize();
}

void rsa_raw(Application& app) {
  const auto session = app.start_crypto();
  const auto public_key = app.create(session, rsa_public()), private_key = app.create(session, rsa_private());
  Mechanism raw(CKM_RSA_X_509);
  Bytes block = pattern(256);
  block[0] = 0;
  // Longer than the modulus is left out: SoftHSM ends the process.
  for (const Bytes& data : {block, pattern(16), Bytes(256, 0xff)}) {
    app.encrypt_init(session, &raw, public_key);
    const Outcome sealed = app.encrypt(session, data, Room::of(256));
    if (sealed.rv != CKR_OK) continue;
    app.decrypt_init(session, &raw, private_key);
    app.decrypt(session, sealed.bytes, Room::of(256));
  }
  app.finalize();
}

void rsa_oaep(Application& app) {
  const auto session = app.start_crypto();
  const auto public_key = app.create(session, rsa_public()), private_key = app.create(session, rsa_private());
  auto round_trip = [&](Mechanism mechanism) {
    if (app.encrypt_init(session, &mechanism, public_key) != CKR_OK) return;
    const Outcome sealed = app.encrypt(session, pattern(32), Room::of(256));
    app.decrypt_init(session, &mechanism, private_key);
    app.decrypt(session, sealed.bytes, Room::of(256));
  };
  round_trip(Mechanism::oaep(CKM_SHA_1, CKG_MGF1_SHA1));
  round_trip(Mechanism::oaep(CKM_SHA256, CKG_MGF1_SHA256));
  round_trip(Mechanism::oaep(CKM_SHA256, CKG_MGF1_SHA256, from_text("label")));
  round_trip(Mechanism::oaep(CKM_SHA256, CKG_MGF1_SHA1));
  round_trip(Mechanism::oaep(CKM_AES_CBC, 77));
  round_trip(Mechanism(CKM_RSA_PKCS_OAEP));
  round_trip(Mechanism(CKM_RSA_PKCS_OAEP, Bytes(3)));
  app.finalize();
}

void rsa_decrypt_garbage(Application& app) {
  const auto session = app.start_crypto();
  const auto private_key = app.create(session, rsa_private());
  Mechanism oaep = Mechanism::oaep(CKM_SHA_1, CKG_MGF1_SHA1);
  for (std::size_t size : {0u, 10u, 255u, 256u, 257u}) {
    app.decrypt_init(session, &oaep, private_key);
    app.decrypt(session, pattern(size), Room::of(256));
  }
  app.finalize();
}

constexpr Case kCases[] = {
    P11_CASE(aes_ecb),
    P11_CASE(aes_cbc),
    P11_CASE(aes_cbc_pad),
    P11_CASE(aes_ctr),
    P11_CASE(aes_ctr_narrow_counter),
    P11_CASE(aes_gcm),
    P11_CASE(aes_gcm_no_aad),
    P11_CASE(aes_gcm_short_tag),
    P11_CASE(aes_gcm_long_iv),
    P11_CASE(des3_ecb),
    P11_CASE(des3_cbc),
    P11_CASE(des3_cbc_pad),
    P11_CASE(chacha20_poly1305),
    P11_CASE(aes_bad_parameters),
    P11_CASE(aes_gcm_tampered),
    P11_CASE(cbc_pad_bad_padding),
    P11_CASE(in_place),
    P11_CASE(large_payloads),
    P11_CASE(large_parts),
    P11_CASE(rsa_pkcs_encrypt),
    P11_CASE(rsa_decrypt_small_buffers),
    P11_CASE(rsa_raw),
    P11_CASE(rsa_oaep),
    P11_CASE(rsa_decrypt_garbage),
};

}  // namespace

std::span<const Case> cipher_cases() { return kCases; }

}  // namespace p11shim::contract
