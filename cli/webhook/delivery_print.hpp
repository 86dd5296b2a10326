// Judges a delivery's signature and prints it: one readable line, or one JSON object.
//
// Owner:   `listen` and `dev`.  Thread: main.  Bounds: bodies are shown up to 64 KiB.
#pragma once

#include <string>
#include <vector>

#include "cli/webhook/receiver.hpp"
#include "cli/webhook/signing.hpp"

namespace eventrelay::cli {

// Thread: main.  Bounds: none of its own.
class DeliveryPrinter {
 public:
  // No keys: the signature is not judged and every delivery passes.
  DeliveryPrinter(const providers::Scheme& scheme, std::vector<Secret> keys, bool json)
      : scheme_(scheme), keys_(std::move(keys)), json_(json) {}

  // Prints to stdout; false if the signature is not genuine.
  bool show(const Delivery& delivery) const;
  // Why the signature is not genuine; empty: it is, or it is not judged.
  [[nodiscard]] std::string problem(const Delivery& delivery) const;

 private:
  const providers::Scheme& scheme_;
  std::vector<Secret> keys_;
  bool json_;
};

}  // namespace eventrelay::cli
