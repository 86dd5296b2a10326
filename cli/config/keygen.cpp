// eventrelay keygen: a new key on stdout.
//
// Thread:  main.
#include <fmt/format.h>

#include <memory>
#include <string>

#include "cli/command/command.hpp"
#include "common/base/crypto.hpp"
#include "common/base/ed25519.hpp"
#include "common/base/seal.hpp"

namespace eventrelay::cli {
namespace {

std::string random_key(std::size_t bytes) {
  std::string out(bytes, '\0');
  crypto::random_bytes(out.data(), out.size());
  return out;
}

Exit print_key(const std::string& kind) {
  if (kind == "seal") {
    fmt::print("{}\n", new_master_key());
  } else if (kind == "elements") {
    fmt::print("{}\n", crypto::base64(random_key(32)));
  } else if (kind == "standard") {
    fmt::print("whsec_{}\n", crypto::base64(random_key(32)));
  } else {
    const std::string pair = std::string(crypto::kPrivateKeyPrefix) +
                             crypto::base64(random_key(crypto::kEd25519KeyBytes));
    fmt::print("{}\n{}\n", pair, crypto::Ed25519Key(pair).public_text());
  }
  return Exit::Ok;
}

}  // namespace

void add_keygen(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand("keygen", "Print a new key");
  auto kind = std::make_shared<std::string>();
  command
      ->add_option("kind", *kind,
                   "elements, standard, standard-ed25519 (the second line is the public key), seal")
      ->required()
      ->check(CLI::IsMember({"elements", "standard", "standard-ed25519", "seal"}));
  command->callback([kind, &run] { run = [kind] { return print_key(*kind); }; });
}

}  // namespace eventrelay::cli
