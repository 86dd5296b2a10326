// A client of ingest for tests: plain or TLS over a blocking socket, every wait bounded.
//
// Thread: one owner.  Bounds: kClientPatience per wait.  Errors: std::runtime_error.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace eventrelay::ingest::test {

inline constexpr std::chrono::seconds kClientPatience{15};

// One answer as it came.
struct Answer {
  int status = 0;
  std::map<std::string, std::string> fields;  // names in lower case
  std::string body;
};

enum class Wire : std::uint8_t { Plain, Tls };

// Thread: one owner.
class Client {
 public:
  explicit Client(std::uint16_t port, Wire wire = Wire::Plain);
  Client(Client&&) noexcept;
  ~Client();

  void send(std::string_view bytes);
  // Sends as much as the peer takes at once; false once it takes nothing more.
  bool try_send(std::string_view bytes);
  // The next answer; nothing if the peer closed in good order before it. Throws on a reset.
  std::optional<Answer> answer();
  // True if the peer closes in good order with nothing more to say.
  bool closed();
  // Anything to read, or the end, within `limit`?
  bool readable(std::chrono::milliseconds limit);
  void shut_writing();

 private:
  struct State;
  std::size_t receive();  // 0 = end

  std::unique_ptr<State> state_;
};

// A signed Box event.
struct BoxEvent {
  std::string id = "f96bb54b-ee16-4fc5-aa65-8c2d9e5b546f";
  std::size_t filler = 500;  // bytes of description
  std::string key = "primary-key";
  std::string target = "/elements/api-v2/events/box/NDI3MjM2";  // 427236
  std::string extra{};                                          // further header lines

  [[nodiscard]] std::string body() const;
  // Head and body.
  [[nodiscard]] std::string request() const;
  [[nodiscard]] std::string head(std::string_view body, std::string_view framing) const;
};

}  // namespace eventrelay::ingest::test
