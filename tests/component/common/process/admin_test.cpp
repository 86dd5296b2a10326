#include "common/process/admin.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <list>
#include <thread>

#include "common/base/start_error.hpp"
#include "tests/support/http_probe.hpp"

namespace eventrelay {
namespace {

using ::testing::HasSubstr;
using testing::HttpProbe;
using testing::RawResponse;

HttpResponse plain(std::string body) {
  HttpResponse response = json_response(200, std::move(body));
  response.content_type = "text/plain";
  return response;
}

HttpResponse echo(const HttpRequest& request) {
  return plain(request.method + ' ' + request.target + ' ' + request.body);
}

HttpResponse broken(const HttpRequest&) {
  throw std::runtime_error("a secret reason");
}

const std::string kJson = "Content-Type: application/json\r\n";
const std::string kPostEcho = "POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\n" + kJson;

AccessPolicy with_token(const char* token) {
  AccessPolicy policy;
  policy.token = Secret{token};
  return policy;
}

// A server on a loop of its own thread.
class AdminServerTest : public ::testing::Test {
 protected:
  void open(AdminLimits limits = {}) {
    server_.emplace(loop_, limits);
    for (const char* method : {"GET", "PUT", "POST"}) {
      Route route{method, "/echo", Access::Token, at_once(echo)};
      route.consumes.clear();
      server_->add(std::move(route));
    }
    server_->add(
        {"GET", "/own", Access::Own, at_once([](const HttpRequest&) { return plain("own"); })});
    server_->add({"GET", "/broken", Access::Token, at_once(broken)});
    server_->add({"GET", "/later/{what}", Access::Own,
                  [this](const HttpRequestPtr& request, const Responder& respond) {
                    answer_later(request, respond);
                  }});
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

  // Keeps the promise, answers on a later turn of the loop, or drops it.
  void answer_later(const HttpRequestPtr& request, const Responder& respond) {
    const std::string_view what = request->parameter("what");
    if (what == "never") kept_.push_back(respond);
    if (what != "soon") return;
    asio::post(loop_, [request, respond] {
      respond(plain("from " + request->peer));
      respond(plain("a second answer"));
    });
  }

  asio::io_context loop_{1};
  std::vector<Responder> kept_;
  asio::executor_work_guard<Executor> work_{loop_.get_executor()};
  std::optional<AdminServer> server_;
  std::string address_;
  std::thread thread_;
};

TEST_F(AdminServerTest, HandsOnMethodTargetAndBody) {
  open();
  HttpProbe probe(address_);
  probe.send("PUT /echo?c=d&e HTTP/1.1\r\nHost: 127.0.0.1\r\n" + kJson +
             "Content-Length: 4\r\n\r\nbody");
  const RawResponse response = probe.read();
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "PUT /echo?c=d&e body");
  EXPECT_EQ(response.header("Content-Type"), "text/plain");
}

TEST_F(AdminServerTest, WaitsForAnAnswerThatComesLater) {
  open();
  HttpProbe probe(address_);
  EXPECT_EQ(probe.get("/later/soon").body, "from 127.0.0.1");
  EXPECT_EQ(probe.get("/later/dropped").status, 500);
  EXPECT_EQ(probe.get("/later/soon").body, "from 127.0.0.1");
}

TEST_F(AdminServerTest, AnswersItselfWhenAHandlerIsLate) {
  open();
  on_loop([this] {
    Route route{
        "GET", "/short", Access::Own,
        [this](const HttpRequestPtr&, const Responder& respond) { kept_.push_back(respond); }};
    route.timeout = std::chrono::milliseconds{50};
    server_->add(std::move(route));
  });
  HttpProbe probe(address_);
  const RawResponse late = probe.get("/short");
  EXPECT_EQ(late.status, 503);
  EXPECT_EQ(late.header("Retry-After"), "5");
  on_loop([this] { kept_.at(0)(plain("too late")); });
  EXPECT_EQ(probe.get("/own").body, "own");  // the late answer was dropped
}

TEST_F(AdminServerTest, EveryErrorNamesItsRequest) {
  open();
  HttpProbe probe(address_);
  const RawResponse first = probe.get("/none");
  EXPECT_EQ(first.status, 404);
  EXPECT_THAT(first.body, ::testing::ContainsRegex("\"requestId\":\"[0-9a-f]{32}\""));
  EXPECT_NE(probe.get("/none").body, first.body);
}

TEST_F(AdminServerTest, AnswersPipelinedRequestsInOrder) {
  open();
  HttpProbe probe(address_);
  std::string requests;
  for (int i = 0; i < 50; ++i) {
    requests += "POST /echo?" + std::to_string(i) + " HTTP/1.1\r\nHost: 127.0.0.1\r\n" + kJson +
                "Content-Length: 2\r\n\r\nab";
  }
  probe.send(requests);
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(probe.read().body, "POST /echo?" + std::to_string(i) + " ab");
  }
}

TEST_F(AdminServerTest, AnswersHeadWithTheLengthAndNoBody) {
  open();
  HttpProbe probe(address_);
  probe.send("HEAD /echo HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  const RawResponse head = probe.read(true);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.header("Content-Length"), "11");
  EXPECT_EQ(probe.get("/echo").body,
            "GET /echo ");  // no byte of a body stands between the two heads
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
  on_loop([this] { server_->set_policy(with_token("s3cret")); });
  HttpProbe probe(address_);
  for (const char* header : {"", "Authorization: s3cret\r\n", "Authorization: Bearer s3cre\r\n",
                             "Authorization: Bearer s3crets\r\n",
                             "Authorization: Bearer s3cret\r\nAuthorization: Bearer s3cret\r\n",
                             "Authorization: Bearer \r\n", "Authorization: Basic s3cret\r\n"}) {
    const RawResponse response = probe.get("/echo", header);
    EXPECT_EQ(response.status, 401) << header;
    EXPECT_EQ(response.header("WWW-Authenticate"), "Bearer");
  }
  EXPECT_EQ(probe.get("/echo", "Authorization: Bearer s3cret\r\n").status, 200);
  EXPECT_EQ(probe.get("/own").status, 200);
  on_loop([this] { server_->set_policy(with_token("other")); });
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
  fits.send(kPostEcho + "Content-Length: 65536\r\n\r\n" + at_limit);
  EXPECT_EQ(fits.read().status, 200);
  HttpProbe over(address_);
  over.send(kPostEcho + "Content-Length: 65537\r\n\r\n" + at_limit + 'b');
  EXPECT_EQ(over.read().status, 413);
  EXPECT_TRUE(over.closed());
}

TEST_F(AdminServerTest, RefusesWhatItWillNotParse) {
  open();
  HttpProbe chunked(address_);
  chunked.send(kPostEcho + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
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
  limits.head_timeout = std::chrono::milliseconds{200};
  limits.request_timeout = std::chrono::milliseconds{200};
  open(limits);
  HttpProbe silent(address_);
  HttpProbe half(address_);
  half.send("GET /echo HTT");
  HttpProbe short_body(address_);
  short_body.send(kPostEcho + "Content-Length: 9\r\n\r\nabc");
  EXPECT_TRUE(silent.closed());
  EXPECT_TRUE(half.closed());
  EXPECT_TRUE(short_body.closed());
}

TEST_F(AdminServerTest, SilentConnectionsShutNobodyOut) {
  open();
  std::list<HttpProbe> silent;
  for (int i = 0; i < 200; ++i) {
    silent.emplace_back(address_);
    if (i % 8 == 0) {
      EXPECT_EQ(HttpProbe(address_).get("/own").status, 200) << i;
    }
  }
  EXPECT_TRUE(silent.front().closed());  // the connection that was idle longest was closed
}

TEST_F(AdminServerTest, ARequestAtWorkIsNotCutForAnother) {
  AdminLimits limits;
  limits.connections_max = 3;
  open(limits);
  std::list<HttpProbe> working;
  for (int i = 0; i < 3; ++i)
    working.emplace_back(address_).send("GET /later/never HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  for (bool all = false; !all;) on_loop([&] { all = kept_.size() == 3; });
  HttpProbe over(address_);
  EXPECT_TRUE(over.closed());
  on_loop([this] {
    for (const Responder& respond : kept_) respond(plain("done"));
  });
  for (HttpProbe& probe : working) EXPECT_EQ(probe.read().body, "done");
  EXPECT_EQ(HttpProbe(address_).get("/own").status, 200);
}

TEST_F(AdminServerTest, SlowsWrongTokensDownAndCountsThem) {
  AdminLimits limits;
  limits.refusals_per_minute = 5;
  limits.slow_down = std::chrono::milliseconds{300};
  open(limits);
  int counted = 0;
  on_loop([&] {
    server_->set_policy(with_token("s3cret"));
    server_->set_on_refused([&counted] { ++counted; });
  });
  HttpProbe probe(address_);
  const auto refuse = [&probe] {
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(probe.get("/echo", "Authorization: Bearer guess\r\n").status, 401);
    return std::chrono::steady_clock::now() - begin;
  };
  for (int i = 0; i < 5; ++i) EXPECT_LT(refuse(), limits.slow_down) << i;
  for (int i = 0; i < 2; ++i) EXPECT_GE(refuse(), limits.slow_down) << i;
  EXPECT_EQ(probe.get("/echo", "Authorization: Bearer s3cret\r\n").status, 200);
  on_loop([&] { EXPECT_EQ(counted, 7); });
}

TEST_F(AdminServerTest, AnswersARefusedRequestBeforeItsBody) {
  open();
  HttpProbe probe(address_);
  probe.send("POST /none HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 60000\r\n\r\n");
  EXPECT_EQ(probe.read().status, 404);
  EXPECT_TRUE(probe.closed());
}

TEST_F(AdminServerTest, InvitesABodyThatWaitsToBeAsked) {
  open();
  HttpProbe probe(address_);
  probe.send(kPostEcho + "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  EXPECT_EQ(probe.read().status, 100);
  probe.send("body");
  EXPECT_EQ(probe.read().body, "POST /echo body");
}

TEST_F(AdminServerTest, RefusesAnotherSite) {
  open();
  HttpProbe probe(address_);
  probe.send("GET /own HTTP/1.1\r\nHost: rebound.example:" +
             address_.substr(address_.rfind(':') + 1) + "\r\n\r\n");
  EXPECT_EQ(probe.read().status, 403);
  EXPECT_EQ(probe.get("/own", "Origin: http://evil.example\r\n").status, 403);
  probe.send("POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(probe.read().status, 415);  // as a form of another page could have sent it
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
