#include <gtest/gtest.h>

#include "cli/command/command.hpp"

namespace eventrelay::cli {
namespace {

std::string completion_of(const std::string& shell) {
  CLI::App app("eventrelay");
  cli::Run run;
  add_send(app, run);
  add_topics(app, run);
  add_completion(app, run);
  app.parse("completion " + shell);
  testing::internal::CaptureStdout();
  EXPECT_EQ(run(), Exit::Ok);
  std::fflush(stdout);
  return testing::internal::GetCapturedStdout();
}

TEST(Completion, NamesCommandsFlagsAndSubcommandsForEachShell) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const std::string script = completion_of(shell);
    EXPECT_NE(script.find("send"), std::string::npos) << shell;
    EXPECT_NE(script.find("concurrency"), std::string::npos) << shell;
  }
  EXPECT_NE(completion_of("bash").find("init check"), std::string::npos);
}

TEST(Completion, RefusesAnotherShell) {
  CLI::App app("eventrelay");
  cli::Run run;
  add_completion(app, run);
  EXPECT_THROW(app.parse("completion tcsh"), CLI::ParseError);
}

}  // namespace
}  // namespace eventrelay::cli
