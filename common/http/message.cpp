#include "common/http/message.hpp"

#include <algorithm>

#include "common/text/json_text.hpp"

namespace eventrelay {

namespace {

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace

bool same_name(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(),
                    [](char left, char right) { return lower(left) == lower(right); });
}

std::string_view HttpRequest::header(std::string_view name) const noexcept {
  for (const auto& [each, value] : headers) {
    if (same_name(each, name)) return value;
  }
  return {};
}

std::size_t HttpRequest::header_count(std::string_view name) const noexcept {
  return static_cast<std::size_t>(
      std::count_if(headers.begin(), headers.end(),
                    [name](const auto& header) { return same_name(header.first, name); }));
}

std::string_view HttpRequest::parameter(std::string_view name) const noexcept {
  for (const auto& [each, value] : path_parameters) {
    if (each == name) return value;
  }
  return {};
}

std::optional<std::string_view> HttpRequest::query(std::string_view name) const noexcept {
  std::optional<std::string_view> found;
  for (const auto& [each, value] : query_parameters) {
    if (each != name) continue;
    if (found) return std::nullopt;
    found = value;
  }
  return found;
}

std::vector<std::string_view> HttpRequest::query_all(std::string_view name) const {
  std::vector<std::string_view> values;
  for (const auto& [each, value] : query_parameters) {
    if (each == name) values.emplace_back(value);
  }
  return values;
}

HttpResponse json_response(unsigned status, std::string body) {
  HttpResponse response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

HttpResponse error_response(const HttpRequest& request, unsigned status, std::string_view message) {
  JsonObject body;
  body.text("message", message).text("requestId", request.request_id);
  return json_response(status, std::move(body).finish());
}

struct Responder::Promise {
  std::shared_ptr<const HttpRequest> request;
  std::function<void(HttpResponse)> done;

  Promise(std::shared_ptr<const HttpRequest> asked, std::function<void(HttpResponse)> call)
      : request(std::move(asked)), done(std::move(call)) {}
  Promise(const Promise&) = delete;
  Promise& operator=(const Promise&) = delete;
  ~Promise() {
    if (done) done(error_response(*request, 500, "internal error"));
  }
};

Responder::Responder(std::shared_ptr<const HttpRequest> request,
                     std::function<void(HttpResponse)> done)
    : promise_(std::make_shared<Promise>(std::move(request), std::move(done))) {}

void Responder::operator()(HttpResponse response) const {
  const auto done = std::exchange(promise_->done, nullptr);
  if (done) done(std::move(response));
}

}  // namespace eventrelay
