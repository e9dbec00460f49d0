// Signs, encrypts and hashes in the token from several threads at once, and verifies with the JDK's own providers.
//
//   java SignFromThreads.java SUNPKCS11-CONFIGURATION PIN     (keys "rsa" and "ec" must be in the token)

import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.Provider;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.Security;
import java.security.Signature;
import java.util.Arrays;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import javax.crypto.Cipher;
import javax.crypto.KeyGenerator;
import javax.crypto.SecretKey;
import javax.crypto.spec.IvParameterSpec;

public class SignFromThreads {
  private static final int THREADS = 6;
  private static final int ROUNDS = 8;

  private final Provider token;
  private final KeyStore store;

  private SignFromThreads(Provider token, KeyStore store) {
    this.token = token;
    this.store = store;
  }

  public static void main(String[] arguments) throws Exception {
    Provider token = Security.getProvider("SunPKCS11").configure(arguments[0]);
    Security.addProvider(token);
    KeyStore store = KeyStore.getInstance("PKCS11", token);
    store.load(null, arguments[1].toCharArray());
    SignFromThreads program = new SignFromThreads(token, store);

    ExecutorService threads = Executors.newFixedThreadPool(THREADS);
    List<Future<Integer>> results = new ArrayList<>();
    for (int thread = 0; thread < THREADS; thread++) {
      results.add(threads.submit((Callable<Integer>) program::work));
    }
    threads.shutdown();
    int good = 0;
    for (Future<Integer> result : results) {
      good += result.get();
    }
    System.out.println(THREADS + " threads: " + good + " of " + 4 * THREADS * ROUNDS + " results are right");
    System.exit(good == 4 * THREADS * ROUNDS ? 0 : 1);
  }

  private int work() throws Exception {
    int good = 0;
    KeyGenerator generator = KeyGenerator.getInstance("AES", token);
    generator.init(256);
    SecretKey aes = generator.generateKey();
    SecureRandom random = new SecureRandom();
    for (int round = 0; round < ROUNDS; round++) {
      byte[] data = new byte[1 + random.nextInt(5000)];
      random.nextBytes(data);
      good += signs("rsa", "SHA256withRSA", data) ? 1 : 0;
      good += signs("ec", "SHA256withECDSA", data) ? 1 : 0;
      good += roundTrips(aes, data) ? 1 : 0;
      good += hashes(data) ? 1 : 0;
    }
    return good;
  }

  private boolean signs(String alias, String algorithm, byte[] data) throws Exception {
    Signature signer = Signature.getInstance(algorithm, token);
    signer.initSign((PrivateKey) store.getKey(alias, null));
    signer.update(data);
    byte[] signature = signer.sign();
    PublicKey key = store.getCertificate(alias).getPublicKey();
    Signature verifier = Signature.getInstance(algorithm, alias.equals("rsa") ? "SunRsaSign" : "SunEC");
    verifier.initVerify(key);
    verifier.update(data);
    return verifier.verify(signature);
  }

  private boolean roundTrips(SecretKey key, byte[] data) throws Exception {
    byte[] iv = new byte[16];
    new SecureRandom().nextBytes(iv);
    Cipher cipher = Cipher.getInstance("AES/CBC/PKCS5Padding", token);
    cipher.init(Cipher.ENCRYPT_MODE, key, new IvParameterSpec(iv));
    byte[] encrypted = cipher.doFinal(data);
    cipher.init(Cipher.DECRYPT_MODE, key, new IvParameterSpec(iv));
    return Arrays.equals(data, cipher.doFinal(encrypted));
  }

  // NSS's certificate database offers no digests.
  private boolean hashes(byte[] data) throws Exception {
    Provider hasher = token.getService("MessageDigest", "SHA-256") == null ? Security.getProvider("SUN") : token;
    byte[] expected = MessageDigest.getInstance("SHA-256", "SUN").digest(data);
    return Arrays.equals(expected, MessageDigest.getInstance("SHA-256", hasher).digest(data));
  }
}
