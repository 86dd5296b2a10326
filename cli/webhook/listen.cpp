// eventrelay listen: takes callbacks, checks their signatures and prints each one.
//
// Thread:  main.
#include <fmt/format.h>

#include <boost/asio/signal_set.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>
#include <memory>

#include "cli/command/command.hpp"
#include "cli/webhook/delivery_print.hpp"
#include "cli/webhook/receiver.hpp"
#include "cli/webhook/signing.hpp"

namespace eventrelay::cli {
namespace {

// Flags of `listen`.
struct ListenFlags {
  ReceiverOptions receiver;
  std::vector<std::string> keys;
  std::string scheme = "elements";
  std::uint64_t delay_ms = 0;
  std::uint64_t count = 0;
  bool json = false;
};

Exit listen(ListenFlags& flags) {
  flags.receiver.delay = std::chrono::milliseconds(flags.delay_ms);
  const DeliveryPrinter printer(scheme_named(flags.scheme), keys_from(flags.keys), flags.json);
  asio::io_context loop(1);
  bool all_genuine = true;
  bool enough = flags.count == 0;
  Receiver receiver(loop.get_executor(), flags.receiver, [&](const Delivery& delivery) {
    all_genuine = printer.show(delivery) && all_genuine;
    if (flags.count != 0 && delivery.number >= flags.count) {
      enough = true;
      loop.stop();
    }
  });
  fmt::print(stderr, "listening on http://{}:{}\n", flags.receiver.address, receiver.port());
  asio::signal_set signals(loop, SIGINT, SIGTERM);
  signals.async_wait([&](ErrorCode, int) { loop.stop(); });
  loop.run();
  return all_genuine && enough ? Exit::Ok : Exit::Failed;
}

}  // namespace

void add_listen(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand(
      "listen", "Take callbacks on a port, judge and print each; exit 1 if one was not genuine");
  auto flags = std::make_shared<ListenFlags>();
  command->add_option("--address", flags->receiver.address, "Address")->capture_default_str();
  command->add_option("--port", flags->receiver.port, "Port; 0: the kernel chooses")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  command->add_option("--key", flags->keys, "Key, or @FILE; none: signatures are not judged")
      ->allow_extra_args(false);
  command->add_option("--scheme", flags->scheme, "One of: " + scheme_names())
      ->capture_default_str();
  command->add_option("--status", flags->receiver.status, "Status to answer")
      ->check(CLI::Range(200, 599))
      ->capture_default_str();
  command->add_option("--delay", flags->delay_ms, "Wait before the answer, e.g. 200ms or 2s")
      ->transform(CLI::AsNumberWithUnit(
          std::map<std::string, std::uint64_t>{{"ms", 1}, {"s", 1000}, {"m", 60'000}},
          CLI::AsNumberWithUnit::UNIT_REQUIRED));
  command
      ->add_option("--fail-first", flags->receiver.fail_first,
                   "Answer so many requests with 503 first")
      ->check(CLI::Range(0, 1'000'000'000));
  command->add_option("--count", flags->count, "End after that many; 0: until a signal")
      ->check(CLI::Range(0, 1'000'000'000));
  command->add_flag("--json", flags->json, "One JSON object per delivery on stdout");
  command->callback([flags, &run] { run = [flags] { return listen(*flags); }; });
}

}  // namespace eventrelay::cli
