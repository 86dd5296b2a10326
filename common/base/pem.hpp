// Reads PEM files for no other reason than to say what is wrong with them.
//
// Why:     a file that a later connection trusts or shows must be refused when the configuration is
//          read, with its line, and not when the first connection is made.
// Thread:  any; reads the file at once, so at start and reload only.
// Bounds:  one file; nothing of it is kept.
// Errors:  a sentence without the bytes of the file; empty when nothing is wrong.
#pragma once

#include <string>

namespace eventrelay {

// Of a file with authorities to trust: at least one certificate, and none that can not be read.
[[nodiscard]] std::string authorities_problem(const std::string& path);

// Of a file with a certificate chain and the private key that belongs to its first certificate.
[[nodiscard]] std::string client_certificate_problem(const std::string& path);

}  // namespace eventrelay
