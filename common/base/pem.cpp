#include "common/base/pem.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>

#include <cerrno>
#include <fstream>
#include <memory>
#include <system_error>

namespace eventrelay {
namespace {

using StorePtr = std::unique_ptr<X509_STORE, decltype(&X509_STORE_free)>;
using BioPtr = std::unique_ptr<BIO, decltype(&BIO_free)>;
using CertificatePtr = std::unique_ptr<X509, decltype(&X509_free)>;
using KeyPtr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

std::string unreadable(const std::string& path) {
  const std::ifstream file(path);
  if (!file.good()) return "can not be read: " + std::generic_category().message(errno);
  // A directory opens, too, and fails at the first byte.
  char byte = 0;
  std::ifstream again(path);
  if (!again.get(byte)) return "can not be read: it is empty or no file";
  return {};
}

// Nobody is there to be asked for the password of a key.
int no_password(char*, int, int, void*) {
  return -1;
}

}  // namespace

std::string authorities_problem(const std::string& path) {
  if (std::string problem = unreadable(path); !problem.empty()) return problem;
  const StorePtr store(X509_STORE_new(), X509_STORE_free);
  const bool read = X509_STORE_load_locations(store.get(), path.c_str(), nullptr) == 1;
  ERR_clear_error();
  return read ? std::string() : "holds no certificate as PEM, or one that can not be read";
}

std::string client_certificate_problem(const std::string& path) {
  if (std::string problem = unreadable(path); !problem.empty()) return problem;
  const BioPtr first(BIO_new_file(path.c_str(), "r"), BIO_free);
  const CertificatePtr certificate(PEM_read_bio_X509(first.get(), nullptr, no_password, nullptr),
                                   X509_free);
  const BioPtr second(BIO_new_file(path.c_str(), "r"), BIO_free);
  const KeyPtr key(PEM_read_bio_PrivateKey(second.get(), nullptr, no_password, nullptr),
                   EVP_PKEY_free);
  const bool fits = certificate != nullptr && key != nullptr &&
                    X509_check_private_key(certificate.get(), key.get()) == 1;
  ERR_clear_error();
  if (certificate == nullptr) return "holds no certificate as PEM, or one that can not be read";
  if (key == nullptr) return "holds no private key as PEM, or one that needs a password";
  return fits ? std::string() : "holds a private key that is not that of its certificate";
}

}  // namespace eventrelay
