#include "tests/component/ingest/self_signed.hpp"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace eventrelay::ingest::test {

namespace {

void check(bool good) {
  if (!good) throw std::runtime_error("cannot make a test certificate");
}

// Thread: one owner.
class Directory {
 public:
  Directory() {
    std::string name = (std::filesystem::temp_directory_path() / "eventrelay-tls-XXXXXX").string();
    check(mkdtemp(name.data()) != nullptr);
    path_ = name;
    write();
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  ~Directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] TlsServerConfig config() const {
    return {.cert = (path_ / "cert.pem").string(), .key = (path_ / "key.pem").string()};
  }

 private:
  void write() const {
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* cert = X509_new();
    check(key != nullptr && cert != nullptr);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    X509_NAME* name = X509_get_subject_name(cert);
    const auto* common = reinterpret_cast<const unsigned char*>("127.0.0.1");
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, common, -1, -1, 0);
    X509_set_issuer_name(cert, name);
    check(X509_sign(cert, key, EVP_sha256()) > 0);
    std::FILE* file = std::fopen(config().key.c_str(), "w");
    check(file != nullptr &&
          PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
    std::fclose(file);
    file = std::fopen(config().cert.c_str(), "w");
    check(file != nullptr && PEM_write_X509(file, cert) == 1);
    std::fclose(file);
    X509_free(cert);
    EVP_PKEY_free(key);
  }

  std::filesystem::path path_;
};

}  // namespace

const TlsServerConfig& self_signed() {
  static const Directory directory;
  static const TlsServerConfig config = directory.config();
  return config;
}

}  // namespace eventrelay::ingest::test
