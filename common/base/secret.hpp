// A secret that cannot be printed: no stream operator, no formatter, no implicit conversion.
//
// Why:     a key that can be printed will one day stand in a log.
// Thread:  immutable after construction; copies are independent.
// Bounds:  as its text; the bytes are wiped before they are freed.
#pragma once

#include <string>
#include <string_view>

namespace eventrelay {

// Owns secret bytes. Thread: as std::string.  Bounds: 64 KiB, checked by the configuration.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string bytes) : bytes_(std::move(bytes)) {}
  Secret(const Secret&) = default;
  Secret(Secret&&) noexcept = default;
  Secret& operator=(const Secret& other);
  Secret& operator=(Secret&& other) noexcept;
  ~Secret();

  // The bytes, to be handed to a cryptographic function and nowhere else.
  [[nodiscard]] std::string_view reveal() const noexcept { return bytes_; }
  [[nodiscard]] bool empty() const noexcept { return bytes_.empty(); }
  // Takes the same time wherever two of one length differ.
  friend bool operator==(const Secret& a, const Secret& b) noexcept;

 private:
  void wipe() noexcept;
  std::string bytes_;
};

}  // namespace eventrelay
