// eventrelay send: posts events signed as their provider signs them, and counts the answers.
//
// Thread:  main.
#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <map>
#include <memory>
#include <optional>

#include "cli/command/command.hpp"
#include "cli/http/http_client.hpp"
#include "cli/webhook/signing.hpp"
#include "common/base/crypto.hpp"
#include "common/providers/provider.hpp"

namespace eventrelay::cli {
namespace {

constexpr std::string_view kBoxV1 = "box-v1";

// Flags of `send`.
struct SendFlags {
  std::string provider;
  std::string url;
  std::vector<std::string> keys;
  std::optional<std::string> body_file;  // - : stdin
  std::string uri;
  std::string user = "226067247";
  std::string token;
  std::string ca_file;
  std::uint64_t count = 1;
  double rate = 0;
  unsigned concurrency = 1;
  bool json = false;
};

// One run: the workers share it.
struct SendRun {
  const SendFlags& flags;
  Target target;
  const providers::Scheme* scheme;  // null: Box V1
  std::vector<Secret> keys;
  std::string body;  // of --body; empty = made per event
  std::uint64_t seed = 0;
  std::uint64_t next = 0;
  TimePoint start{};
  std::map<int, std::uint64_t> by_status;
  std::uint64_t failed = 0;
  std::string last_failure;
};

std::string body_of(const SendRun& run, std::uint64_t i) {
  if (!run.body.empty()) return run.body;
  const std::uint64_t object = 73'835'521'473U + i;
  if (run.scheme == nullptr) {
    std::string form = fmt::format(
        "userId=[\"{}\"]&event=uploaded&itemId={}&itemType=file&newItemId=", run.flags.user,
        object);
    if (!run.flags.token.empty()) form += "&token=" + run.flags.token;
    return form;
  }
  const providers::Provider* const provider = providers::provider_of_scheme(run.scheme->name);
  if (provider != nullptr) {
    return providers::sample_body(*provider, run.seed + i, object, run.keys.front().reveal());
  }
  return fmt::format(R"({{"id":"{:016x}","type":"test","object":{}}})", run.seed + i, object);
}

ClientRequest request_of(const SendRun& run, std::uint64_t i) {
  ClientRequest request;
  request.method = "POST";
  request.body = body_of(run, i);
  if (run.scheme == nullptr) {
    request.headers.emplace_back("Content-Type", "application/x-www-form-urlencoded");
    return request;
  }
  const std::string id = fmt::format("msg_{:016x}", run.seed + i);
  const std::string timestamp = providers::format_stamp(run.scheme->stamp, wall_now());
  providers::SignInput input;
  input.uri = run.flags.uri;
  input.id = id;
  input.timestamp = timestamp;
  input.body = request.body;
  const providers::Provider* const provider = providers::provider_of_scheme(run.scheme->name);
  const bool form = provider != nullptr && !request.body.empty() && request.body.front() != '{' &&
                    request.body.front() != '[';
  request.headers.emplace_back("Content-Type",
                               form ? std::string(provider->sample_type) : "application/json");
  if (provider != nullptr && !provider->sample_field.name.empty()) {
    request.headers.emplace_back(provider->sample_field.name, provider->sample_field.value);
  }
  for (auto& field : providers::sign(*run.scheme, run.keys, input)) {
    request.headers.emplace_back(std::move(field.name), std::move(field.value));
  }
  return request;
}

void note(SendRun& run, const ClientResponse& response) {
  ++run.by_status[response.status];
  if (run.flags.json) {
    fmt::print(R"({{"status":{},"answer":{}}})"
               "\n",
               response.status, response.body.empty() ? "null" : response.body);
  } else if (run.flags.count <= 10) {
    fmt::print("{} {}{}", response.status, response.body,
               !response.body.empty() && response.body.back() == '\n' ? "" : "\n");
  }
}

Task<void> work(asio::io_context& loop, SendRun& run) {
  HttpClient client(loop.get_executor(), run.target, run.flags.ca_file);
  Timer timer(loop);
  ErrorCode error;
  const asio::use_awaitable_t<Executor> await;
  while (run.next < run.flags.count) {
    const std::uint64_t i = run.next++;
    if (run.flags.rate > 0) {
      timer.expires_at(std::chrono::time_point_cast<std::chrono::steady_clock::duration>(
          run.start + Duration(static_cast<std::int64_t>(double(i) * 1e9 / run.flags.rate))));
      co_await timer.async_wait(asio::redirect_error(await, error));
    }
    const ClientRequest request = request_of(run, i);
    try {
      const ClientResponse response = co_await client.exchange(request);
      note(run, response);
    } catch (const HttpFailure& failure) {
      ++run.failed;
      run.last_failure = failure.what();
    }
  }
}

Exit summary(const SendRun& run) {
  const double seconds = std::chrono::duration<double>(monotonic_now() - run.start).count();
  std::uint64_t good = 0;
  std::string codes;
  for (const auto& [status, count] : run.by_status) {
    codes += fmt::format(" {}x{}", status, count);
    if (status / 100 == 2) good += count;
  }
  if (run.failed > 0) codes += fmt::format(" failed x{} ({})", run.failed, run.last_failure);
  fmt::print(stderr, "sent {} of {} events in {:.2f} s:{}\n", good, run.flags.count, seconds,
             codes);
  return good == run.flags.count ? Exit::Ok : Exit::Failed;
}

Exit send(SendFlags flags) {
  if (flags.uri.empty()) flags.uri = uri_signed_for(flags.url);
  SendRun run{flags, parse_target(flags.url), nullptr, keys_from(flags.keys), {}, 0, 0, {}, {}, 0,
              {}};
  if (flags.provider != kBoxV1) {
    run.scheme = &scheme_named(flags.provider);
    require_uri(*run.scheme, flags.uri);
    if (run.keys.empty()) throw Failure(Exit::Usage, "send " + flags.provider + " needs --key");
  }
  if (flags.body_file) {
    const std::string& file = *flags.body_file;
    if (file.empty()) {
      throw Failure(Exit::Usage, "--body names no file; leave the flag out for a made-up event");
    }
    run.body = file == "-" ? read_stdin() : read_file(file);
    if (run.body.empty()) {
      throw Failure(Exit::Usage,
                    "--body " + file + " is empty; leave the flag out for a made-up event");
    }
  }
  crypto::random_bytes(reinterpret_cast<char*>(&run.seed), sizeof run.seed);
  run.seed >>= 16U;
  run.start = monotonic_now();
  asio::io_context loop(1);
  for (unsigned i = 0; i < flags.concurrency; ++i) {
    asio::co_spawn(loop.get_executor(), work(loop, run), [](std::exception_ptr thrown) {
      if (thrown) std::rethrow_exception(thrown);
    });
  }
  loop.run();
  return summary(run);
}

}  // namespace

void add_send(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand(
      "send", "Send events as a provider would, signed; exit 1 unless every answer was 2xx");
  auto flags = std::make_shared<SendFlags>();
  command->add_option("provider", flags->provider, "box-v1, or a scheme: " + scheme_names())
      ->required();
  command->add_option("--url", flags->url, "Event URL")->required();
  command->add_option("--key", flags->keys, "Key, or @FILE; again for the second slot")
      ->allow_extra_args(false);
  command->add_option("--uri", flags->uri,
                      "URI as the provider knows it, where the scheme signs it; default: --url "
                      "with https://");
  command->add_option("--body", flags->body_file,
                      "File with the body, - for stdin; default: made up");
  command->add_option("--user-id", flags->user, "Box V1: the user the event belongs to");
  command->add_option("--token", flags->token, "Box V1: the shared token");
  command->add_option("--ca-file", flags->ca_file, "Trust this CA instead of the system's");
  command->add_option("--count", flags->count, "Number of events")
      ->check(CLI::Range(1, 10'000'000))
      ->capture_default_str();
  command->add_option("--rate", flags->rate, "Events a second at most; 0: no limit")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--concurrency", flags->concurrency, "Connections at once")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command->add_flag("--json", flags->json, "One JSON object per answer");
  command->callback([flags, &run] { run = [flags] { return send(*flags); }; });
}

}  // namespace eventrelay::cli
