// One client connection: reads a request, has it judged, waits for Kafka, answers.
//
//   Handshake --> Head --> Body --> Waiting --> Writing --> Head ...   (keep-alive)
//                  any refusal -------------> Writing --> Lingering --> Closed
//
// Why:     a session waits for its socket, for a report and for its deadline; each is a plain call
//          on the shard's thread, so an event costs one read, one write and no allocation.
// Owner:   SessionPool; reused for the next client once no handler of it is under way.
// Thread:  shard-local.
// Bounds:  one request at a time; bytes sent ahead wait in the input buffer or in the kernel.
// Errors:  IngestError -> answer, see answer.hpp; a socket error closes.
#pragma once

#include <boost/container/small_vector.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "common/http/types.hpp"
#include "ingest/answer_bytes.hpp"
#include "ingest/chunked.hpp"
#include "ingest/head_parser.hpp"
#include "ingest/input_buffer.hpp"
#include "ingest/request_trace.hpp"
#include "ingest/session_environment.hpp"

namespace eventrelay::ingest {

// TLS over the session's own socket.
using ClientTls = asio::ssl::stream<Socket&>;

// Thread: shard-local.  Bounds: about 500 bytes and the input buffer; 2.3 KiB more while a request
// is here in part.
class Session final : public AckWaiter {
 public:
  explicit Session(SessionEnvironment& environment);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  // Throws when there is no memory for it; close() ends it then.
  void open(Socket socket, std::size_t place);
  // Ends the connection at once; the pool gets the session back when its handlers have run.
  void close();
  // Ends it gently if no request is under way since `before`.
  void close_if_idle(TimePoint before);
  void on_deadline(TimePoint now);
  void on_settled(Settled settled) override;
  // What SessionPool::read_later() has put off.
  void read_now() noexcept;

  [[nodiscard]] std::size_t place() const noexcept { return place_; }
  void move_place(std::size_t place) noexcept { place_ = place; }
  // Memory of its handshake, and whose it is; the pool's.
  [[nodiscard]] Units& handshake_units() noexcept { return handshake_units_; }
  [[nodiscard]] asio::ip::address peer() const noexcept;

 private:
  enum class State : std::uint8_t { Closed, Handshake, Head, Body, Waiting, Writing, Lingering };
  enum class Next : std::uint8_t { Again, Read, Stop };  // Stop: touch nothing of *this any more
  enum class Then : std::uint8_t { ReadBody, NextRequest, Linger };

  template <class Work>
  void guarded(Work work) noexcept;
  void go_on(Next next);
  void begin_request(TimePoint now, Duration patience);
  [[nodiscard]] bool only_empty_lines();
  [[nodiscard]] Next read_head();
  [[nodiscard]] Next await_head();
  // Another read is needed: the head moves out of the place that all sessions share.
  void keep_head();
  void forget_head() noexcept;
  [[nodiscard]] Next on_head();
  void trace_route();
  [[nodiscard]] bool admitted();
  [[nodiscard]] Next read_body();
  [[nodiscard]] Next read_chunks();
  [[nodiscard]] Next on_body(std::size_t size);
  [[nodiscard]] Next store(std::span<const Event> events);
  [[nodiscard]] Next reject(IngestError error);
  void note_not_stored(metrics::NotStored why, std::string_view reason);
  void log_refused(const AnswerRow& row, std::uint64_t request_id) const;
  void pass_over_body();
  [[nodiscard]] Next answer(metrics::Code code, std::string_view bytes, After after);
  [[nodiscard]] Next send(std::string_view bytes, Then then);
  [[nodiscard]] Next sent();
  [[nodiscard]] After after_answer() const noexcept;
  [[nodiscard]] std::span<char> answer_space(std::size_t bytes);
  void end_trace(std::string_view code);
  void forget_input();

  void end_patience();
  void answer_settled(Settled settled);
  void handshake();
  void start_read();
  void on_read(ErrorCode error, std::size_t bytes);
  void on_written(ErrorCode error);
  void linger();
  void discard();
  void half_close();
  void on_discarded(ErrorCode error, std::size_t bytes);
  void give_back();
  void set_deadline(TimePoint deadline) noexcept {
    environment_.pool.set_deadline(place_, deadline);
  }

  // What an acknowledgement touches lies together; what only a head needs comes last.
  SessionEnvironment& environment_;
  std::size_t place_ = 0;
  State state_ = State::Closed;
  Then then_ = Then::NextRequest;
  std::uint8_t handlers_ = 0;  // under way
  bool reading_ = false;
  bool head_begun_ = false;  // of the current request: its first byte is here
  bool head_done_ = false;
  bool body_done_ = false;
  bool forgotten_ = false;  // its bytes are consumed
  bool keep_alive_ = true;  // as the client asked
  Ticket ticket_;
  TimePoint since_{};                                   // head read, or idle since
  boost::container::small_vector<EventIdText, 1> ids_;  // of the events that wait for Kafka
  std::unique_ptr<RequestTrace> trace_;                 // of a sampled request
  std::vector<char> rest_;  // of an answer that could not be sent at once
  Units request_;
  Units probe_;
  Units handshake_units_;
  std::unique_ptr<ClientTls> tls_;
  Socket socket_;
  InputBuffer input_;

  std::shared_ptr<Receiver> receiver_;  // of a request whose body is still on its way
  Route route_;
  WallTime received_{};
  std::size_t body_size_ = 0;
  std::size_t coded_bytes_ = 0;  // of a chunked body, received
  std::size_t discarded_ = 0;
  std::optional<ChunkedDecoder> chunks_;
  HeadWork* head_ = nullptr;  // of the current request: the shard's, or
  std::unique_ptr<HeadWork> own_head_;
};

}  // namespace eventrelay::ingest
