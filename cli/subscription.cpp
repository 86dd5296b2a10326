// eventrelay subscription: pauses one by hand and resumes it; no event is lost meanwhile.
//
// Thread:  main.
#include <fmt/format.h>

#include <boost/json/parse.hpp>
#include <boost/url/encode.hpp>
#include <boost/url/rfc/unreserved_chars.hpp>
#include <memory>

#include "cli/admin_client.hpp"

namespace eventrelay::cli {
namespace {

// Thread: main.
struct SwitchFlags {
  AdminFlags admin;
  std::string id;
};

// The `message` of an error answer, or the whole answer if it has none.
std::string reason_of(const std::string& body) {
  boost::system::error_code error;
  const auto parsed = boost::json::parse(body, error);
  const auto* object = error ? nullptr : parsed.if_object();
  const auto* message = object != nullptr ? object->if_contains("message") : nullptr;
  const auto* text = message != nullptr ? message->if_string() : nullptr;
  return text != nullptr ? std::string(text->data(), text->size()) : body;
}

Exit switch_one(const SwitchFlags& flags, const std::string& word) {
  const std::string path = "/api/v1/subscriptions/" + word +
                           "?id=" + boost::urls::encode(flags.id, boost::urls::unreserved_chars);
  std::string refusals;
  for (const std::string& base : flags.admin.admin) {
    try {
      const ClientResponse answer = ask_admin(flags.admin, base, "POST", path);
      if (answer.status == 200) {
        fmt::print("{}\n", flags.admin.json ? answer.body
                                            : fmt::format("{} is {}, by {}", flags.id, word, base));
        return Exit::Ok;
      }
      refusals += fmt::format("; {}: {} {}", base, answer.status, reason_of(answer.body));
    } catch (const HttpFailure& failure) {
      refusals += fmt::format("; {}", failure.what());
    }
  }
  throw Failure(Exit::Failed, "subscription " + flags.id + " is not switched " + word + refusals +
                                  "; name every relay worker with --admin");
}

void add_word(CLI::App& command, Run& run, const std::string& word) {
  auto flags = std::make_shared<SwitchFlags>();
  flags->admin.admin = {"http://127.0.0.1:9465"};
  command.add_option("id", flags->id, "INSTANCE, or INSTANCE/NAME")->required();
  add_admin_flags(command, flags->admin);
  command.callback(
      [flags, word, &run] { run = [flags, word] { return switch_one(*flags, word); }; });
}

}  // namespace

void add_subscription(CLI::App& app, Run& run) {
  CLI::App* command =
      app.add_subcommand("subscription", "Switch a subscription off or on; its events wait");
  command->require_subcommand(1);
  add_word(*command->add_subcommand("on", "Deliver again, from where it stood"), run, "on");
  add_word(*command->add_subcommand("off", "Deliver nothing; the log keeps its events"), run,
           "off");
}

}  // namespace eventrelay::cli
