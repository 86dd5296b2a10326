// What is told of PEM files before anything trusts them.
#include "common/base/pem.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace eventrelay {
namespace {

class Pem : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "pem_XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    const std::string make =
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=a "
        "-days 2 -keyout " +
        path("key") + " -out " + path("cert") + " 2>/dev/null";
    ASSERT_EQ(std::system(make.c_str()), 0);
    const std::string other =
        "openssl genpkey -algorithm ed25519 -out " + path("other") + " 2>/dev/null";
    ASSERT_EQ(std::system(other.c_str()), 0);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::string path(const char* name) const { return folder_ + "/" + name; }
  [[nodiscard]] std::string text(const char* name) const {
    std::ifstream file(path(name));
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::string written(const char* name, const std::string& bytes) const {
    std::ofstream(path(name)) << bytes;
    return path(name);
  }

 private:
  std::string folder_;
};

TEST_F(Pem, AuthoritiesAreReadOrToldWhyNot) {
  EXPECT_EQ(authorities_problem(path("cert")), "");
  EXPECT_EQ(authorities_problem(written("two", text("cert") + text("cert"))), "");
  EXPECT_NE(authorities_problem(path("missing")).find("No such file"), std::string::npos);
  EXPECT_NE(authorities_problem(path("")).find("can not be read"), std::string::npos);
  EXPECT_NE(authorities_problem(written("empty", "")).find("empty"), std::string::npos);
  const std::string whole = text("cert");
  for (const std::string& bytes :
       {std::string("planted"), whole.substr(0, whole.size() / 2), text("key"),
        std::string("-----BEGIN CERTIFICATE-----\nplanted\n-----END CERTIFICATE-----\n"),
        whole.substr(0, 60) + "AAAA" + whole.substr(64)}) {
    const std::string problem = authorities_problem(written("bad", bytes));
    EXPECT_NE(problem.find("no certificate"), std::string::npos) << bytes;
    EXPECT_EQ(problem.find("planted"), std::string::npos);
  }
}

TEST_F(Pem, AClientCertificateNeedsItsKey) {
  EXPECT_EQ(client_certificate_problem(written("both", text("cert") + text("key"))), "");
  EXPECT_EQ(client_certificate_problem(written("turned", text("key") + text("cert"))), "");
  EXPECT_NE(client_certificate_problem(path("cert")).find("private key"), std::string::npos);
  EXPECT_NE(client_certificate_problem(path("key")).find("no certificate"), std::string::npos);
  const std::string mixed = written("mixed", text("cert") + text("other"));
  EXPECT_NE(client_certificate_problem(mixed).find("not that of"), std::string::npos);
  EXPECT_NE(client_certificate_problem(path("missing")).find("No such file"), std::string::npos);
}

}  // namespace
}  // namespace eventrelay
