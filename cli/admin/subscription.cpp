// eventrelay subscription: pauses one by hand and resumes it; no event is lost meanwhile.
//
// Thread:  main.
#include <fmt/format.h>

#include <array>
#include <boost/json/parse.hpp>
#include <boost/url/encode.hpp>
#include <boost/url/rfc/unreserved_chars.hpp>
#include <memory>

#include "cli/admin/admin_client.hpp"

namespace eventrelay::cli {
namespace {

// A word of the command line, and the state it asks for as the admin route and people call it.
struct Word {
  const char* word;
  const char* route;
  const char* state;
  const char* help;
};

constexpr std::array<Word, 4> kWords{{
    {"pause", "off", "paused", "Deliver nothing; its events wait in the log"},
    {"resume", "on", "resumed", "Deliver again, from where it stood"},
    {"off", "off", "off", "The older word for pause"},
    {"on", "on", "on", "The older word for resume"},
}};

struct PauseFlags {
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

Exit change(const PauseFlags& flags, const Word& word) {
  const std::string path = std::string("/api/v1/subscriptions/") + word.route +
                           "?id=" + boost::urls::encode(flags.id, boost::urls::unreserved_chars);
  std::string refusals;
  for (const AdminPeer& peer : admin_peers(flags.admin, {"relay"})) {
    const std::string& base = peer.base;
    try {
      const ClientResponse answer = ask_admin(peer, "POST", path);
      if (answer.status == 200) {
        fmt::print("{}\n", flags.admin.json
                               ? answer.body
                               : fmt::format("{} is {}, by {}", flags.id, word.state, base));
        return Exit::Ok;
      }
      refusals += fmt::format("; {}: {} {}", base, answer.status, reason_of(answer.body));
    } catch (const HttpFailure& failure) {
      refusals += fmt::format("; {}", failure.what());
    }
  }
  throw Failure(Exit::Failed, "subscription " + flags.id + " is not " + word.state + refusals +
                                  "; name every relay worker with --admin");
}

void add_word(CLI::App& command, Run& run, const Word& word) {
  auto flags = std::make_shared<PauseFlags>();
  command.add_option("id", flags->id, "INSTANCE, or INSTANCE/NAME")->required();
  add_admin_flags(command, flags->admin);
  command.callback([flags, &word, &run] { run = [flags, &word] { return change(*flags, word); }; });
}

}  // namespace

void add_subscription(CLI::App& app, Run& run) {
  CLI::App* command =
      app.add_subcommand("subscription", "Pause a subscription or resume it; its events wait");
  command->require_subcommand(1);
  for (const Word& word : kWords) {
    add_word(*command->add_subcommand(word.word, word.help), run, word);
  }
}

}  // namespace eventrelay::cli
