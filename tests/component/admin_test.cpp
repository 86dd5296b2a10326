#include "common/process/admin.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <list>
#include <thread>

#include "common/base/start_error.hpp"
#include "tests/component/http_probe.hpp"

namespace eventrelay {
namespace {

using ::testing::HasSubstr;
using testing::HttpProbe;
using testing::RawResponse;

Task<AdminResponse> echo(const AdminRequest& request) {
  AdminResponse response;
  response.content_type = "text/plain";
  response.body.append(request.method).append(" ").append(request.path);
  response.body.append("?").append(request.query).append(" ").append(request.body);
  co_return response;
}

Task<AdminResponse> broken(const AdminRequest&) {
  throw std::runtime_error("a secret reason");
  co_return AdminResponse{};
}

Task<AdminResponse> named(std::string name) {
  AdminResponse response;
  response.body = std::move(name);
  co_return response;
}

// A server on a loop of its own thread.
class AdminServerTest : public ::testing::Test {
 protected:
  void open(AdminLimits limits = {}) {
    server_.emplace(loop_, limits);
    server_->mount("/echo", AdminAccess::Token, echo);
    server_->mount("/echo/deep", AdminAccess::Own,
                   [](const AdminRequest&) { return named("deep"); });
    server_->mount("/broken", AdminAccess::Token, broken);
    server_->open("127.0.0.1:0");
    address_ = server_->address();
    thread_ = std::thread([this] { loop_.run(); });
  }

  void TearDown() override {
    if (!thread_.joinable()) return;
    on_loop([this] { server_->close(); });
    work_.reset();
    thread_.join();
  }

  void on_loop(std::function<void()> work) {
    std::promise<void> done;
    asio::post(loop_, [&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }

  asio::io_context loop_{1};
  asio::executor_work_guard<Executor> work_{loop_.get_executor()};
  std::optional<AdminServer> server_;
  std::string address_;
  std::thread thread_;
};

TEST_F(AdminServerTest, HandsOnMethodPathQueryAndBody) {
  open();
  HttpProbe probe(address_);
  probe.send("PUT /echo/a/b?c=d&e HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody");
  const RawResponse response = probe.read();
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "PUT /echo/a/b?c=d&e body");
  EXPECT_EQ(response.header("Content-Type"), "text/plain");
}

TEST_F(AdminServerTest, ChoosesTheLongestPrefixOnWholeSegments) {
  open();
  HttpProbe probe(address_);
  EXPECT_EQ(probe.get("/echo/deep").body, "deep");
  EXPECT_EQ(probe.get("/echo/deep/er").body, "deep");
  EXPECT_EQ(probe.get("/echo/deeper").body, "GET /echo/deeper? ");
  EXPECT_EQ(probe.get("/echoes").status, 404);
  EXPECT_EQ(probe.get("/").status, 404);
}

TEST_F(AdminServerTest, AnswersPipelinedRequestsInOrder) {
  open();
  HttpProbe probe(address_);
  std::string requests;
  for (int i = 0; i < 50; ++i) {
    requests +=
        "POST /echo/" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab";
  }
  probe.send(requests);
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(probe.read().body, "POST /echo/" + std::to_string(i) + "? ab");
  }
}

TEST_F(AdminServerTest, AnswersHeadWithTheLengthAndNoBody) {
  open();
  HttpProbe probe(address_);
  probe.send("HEAD /echo HTTP/1.1\r\nHost: x\r\n\r\n");
  const RawResponse head = probe.read(true);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.header("Content-Length"), "11");
  EXPECT_EQ(probe.get("/echo").body, "GET /echo? ");  // nothing of a body came between
}

TEST_F(AdminServerTest, ClosesWhenAskedTo) {
  open();
  HttpProbe probe(address_);
  const RawResponse response = probe.get("/echo", "Connection: close\r\n");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.header("Connection"), "close");
  EXPECT_TRUE(probe.closed());
  HttpProbe old(address_);
  old.send("GET /echo HTTP/1.0\r\n\r\n");
  EXPECT_EQ(old.read().status, 200);
  EXPECT_TRUE(old.closed());
}

TEST_F(AdminServerTest, NeedsTheExactTokenWhereItIsAskedFor) {
  open();
  on_loop([this] { server_->set_token(Secret{"s3cret"}); });
  HttpProbe probe(address_);
  for (const char* header :
       {"", "Authorization: s3cret\r\n", "Authorization: Bearer s3cre\r\n",
        "Authorization: Bearer s3crets\r\n", "Authorization: bearer s3cret\r\n",
        "Authorization: Bearer \r\n", "Authorization: Basic s3cret\r\n"}) {
    const RawResponse response = probe.get("/echo", header);
    EXPECT_EQ(response.status, 401) << header;
    EXPECT_EQ(response.header("WWW-Authenticate"), "Bearer");
  }
  EXPECT_EQ(probe.get("/echo", "Authorization: Bearer s3cret\r\n").status, 200);
  EXPECT_EQ(probe.get("/echo/deep").status, 200);
  on_loop([this] { server_->set_token(Secret{"other"}); });
  EXPECT_EQ(probe.get("/echo", "Authorization: Bearer s3cret\r\n").status, 401);
}

TEST_F(AdminServerTest, TurnsAThrowIntoAnAnswerWithoutTheReason) {
  open();
  HttpProbe probe(address_);
  const RawResponse response = probe.get("/broken");
  EXPECT_EQ(response.status, 500);
  EXPECT_EQ(response.body.find("secret"), std::string::npos);
  EXPECT_EQ(probe.get("/echo").status, 200);
}

TEST_F(AdminServerTest, HoldsTheHeaderAtItsLimit) {
  open();
  HttpProbe fits(address_);
  EXPECT_EQ(fits.get("/echo", "X: " + std::string(7'000, 'x') + "\r\n").status, 200);
  HttpProbe over(address_);
  EXPECT_EQ(over.get("/echo", "X: " + std::string(8'192, 'x') + "\r\n").status, 431);
  EXPECT_TRUE(over.closed());
}

TEST_F(AdminServerTest, HoldsTheBodyAtItsLimit) {
  open();
  const std::string at_limit(64U * 1024, 'b');
  HttpProbe fits(address_);
  fits.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 65536\r\n\r\n" + at_limit);
  EXPECT_EQ(fits.read().status, 200);
  HttpProbe over(address_);
  over.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n" + at_limit + 'b');
  EXPECT_EQ(over.read().status, 413);
  EXPECT_TRUE(over.closed());
}

TEST_F(AdminServerTest, RefusesWhatItWillNotParse) {
  open();
  HttpProbe chunked(address_);
  chunked.send("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
  EXPECT_EQ(chunked.read().status, 411);
  EXPECT_TRUE(chunked.closed());
  for (const char* garbage :
       {"\x16\x03\x01\x02garbage\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\nbad header\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"}) {
    HttpProbe probe(address_);
    probe.send(garbage);
    EXPECT_EQ(probe.read().status, 400) << garbage;
    EXPECT_TRUE(probe.closed());
  }
}

TEST_F(AdminServerTest, CutsARequestThatDoesNotComplete) {
  AdminLimits limits;
  limits.request_timeout = std::chrono::milliseconds{200};
  open(limits);
  HttpProbe silent(address_);
  HttpProbe half(address_);
  half.send("GET /echo HTT");
  HttpProbe short_body(address_);
  short_body.send("POST /echo HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc");
  EXPECT_TRUE(silent.closed());
  EXPECT_TRUE(half.closed());
  EXPECT_TRUE(short_body.closed());
}

TEST_F(AdminServerTest, HoldsItsConnectionsAtLimit) {
  AdminLimits limits;
  limits.connections_max = 3;
  open(limits);
  std::list<HttpProbe> probes;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(probes.emplace_back(address_).get("/echo").status, 200);
  HttpProbe over(address_);
  EXPECT_TRUE(over.closed());
  EXPECT_EQ(probes.back().get("/echo").status, 200);
  // A place comes free when the server has seen the end of a connection.
  probes.back().send("GET /echo HTTP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(probes.back().read().status, 200);
  probes.pop_back();
  int status = 0;
  for (int tries = 0; tries < 200 && status == 0; ++tries)
    status = HttpProbe(address_).get("/echo").status;
  EXPECT_EQ(status, 200);
}

TEST_F(AdminServerTest, EndsItsConnectionsWhenClosed) {
  open();
  HttpProbe probe(address_);
  EXPECT_EQ(probe.get("/echo").status, 200);
  on_loop([this] { server_->close(); });
  EXPECT_TRUE(probe.closed());
}

TEST_F(AdminServerTest, NamesAnAddressItCannotTake) {
  open();
  AdminServer second(loop_);
  try {
    second.open(address_);
    FAIL() << "took an address that is taken";
  } catch (const StartError& error) {
    EXPECT_THAT(error.what(), HasSubstr(address_));
  }
  EXPECT_THROW(second.open("nonsense"), StartError);
}

}  // namespace
}  // namespace eventrelay
