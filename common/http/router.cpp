#include "common/http/router.hpp"

#include <algorithm>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <optional>

#include "common/base/assert.hpp"
#include "common/http/accept.hpp"

namespace eventrelay {

namespace {

namespace urls = boost::urls;

// RFC 3986 has brackets escaped in a query; nobody does that to `tags[]=x`.
std::string with_escaped_brackets(const std::string& target) {
  const std::size_t question = std::min(target.find('?'), target.size());
  std::string escaped = target.substr(0, question);
  for (const char c : std::string_view{target}.substr(question)) {
    if (c == '[') {
      escaped += "%5B";
    } else if (c == ']') {
      escaped += "%5D";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

std::string_view route_method(std::string_view method) noexcept {
  return method == "HEAD" ? std::string_view{"GET"} : method;
}

// A target in origin form, or in absolute form, whose authority replaces Host (RFC 9112 3.2.2).
// The result lies in `target`.
std::optional<urls::url_view> parse_target(const std::string& target, HttpRequest& request) {
  if (target.starts_with('/')) {
    const auto parsed = urls::parse_origin_form(target);
    if (!parsed) return std::nullopt;
    return *parsed;
  }
  const auto parsed = urls::parse_absolute_uri(target);
  if (!parsed || !parsed->has_authority()) return std::nullopt;
  const std::string scheme(parsed->scheme());
  if (!same_name(scheme, "http") && !same_name(scheme, "https")) return std::nullopt;
  const std::string authority(parsed->encoded_host_and_port());
  for (auto& [name, value] : request.headers) {
    if (same_name(name, "Host")) value = authority;
  }
  return *parsed;
}

std::vector<std::string> segments_of(const urls::url_view& url) {
  std::vector<std::string> segments;
  for (const auto& segment : url.segments()) segments.emplace_back(segment);
  if (segments.empty()) segments.emplace_back();  // "/" is one empty segment, as in a pattern
  return segments;
}

void read_query(const urls::url_view& url, HttpRequest& request) {
  urls::encoding_opts options;
  options.space_as_plus = true;
  for (const auto& each : url.params(options)) {
    request.query_parameters.emplace_back(each.key, each.value);
  }
}

// What stands against a body as the head announces it.
std::optional<HttpResponse> judge_body(const HttpRequest& request, const Framing& framing,
                                       const Route& route) {
  if (framing.chunked) return error_response(request, 411, "Content-Length is required");
  if (framing.length > route.body_max) {
    return error_response(request, 413,
                          "the body may have " + std::to_string(route.body_max) + " bytes at most");
  }
  if (framing.length > 0 && !route.consumes.empty() &&
      !same_name(media_type(request.header("Content-Type")), route.consumes)) {
    return error_response(request, 415, "Content-Type: " + route.consumes + " is required");
  }
  return std::nullopt;
}

// The items of all `Accept` headers as one list.
std::string accept_of(const HttpRequest& request) {
  std::string accept;
  for (const auto& [name, value] : request.headers) {
    if (same_name(name, "Accept")) accept.append(accept.empty() ? "" : ",").append(value);
  }
  return accept;
}

}  // namespace

RouteHandler at_once(std::function<HttpResponse(const HttpRequest&)> answer) {
  return [answer = std::move(answer)](const HttpRequestPtr& request, const Responder& respond) {
    respond(answer(*request));
  };
}

std::vector<Router::Segment> Router::parse(std::string_view pattern) {
  EVENTRELAY_ASSERT(pattern.starts_with('/'));
  std::vector<Segment> segments;
  for (std::size_t at = 0; at < pattern.size();) {
    const std::size_t end = std::min(pattern.find('/', at + 1), pattern.size());
    std::string_view text = pattern.substr(at + 1, end - at - 1);
    Segment segment;
    if (text.starts_with('{')) {
      EVENTRELAY_ASSERT(text.ends_with('}'));
      text = text.substr(1, text.size() - 2);
      segment.kind = Segment::Kind::Parameter;
      if (text.ends_with("...")) {
        EVENTRELAY_ASSERT(end == pattern.size());  // nothing can follow what takes the rest
        segment.kind = Segment::Kind::Rest;
        text.remove_suffix(3);
      }
      EVENTRELAY_ASSERT(!text.empty());
    }
    segment.text = text;
    segments.push_back(std::move(segment));
    at = end;
  }
  return segments;
}

bool Router::same_shape(const Row& a, const Row& b) {
  return std::equal(a.segments.begin(), a.segments.end(), b.segments.begin(), b.segments.end(),
                    [](const Segment& left, const Segment& right) {
                      return left.kind == right.kind &&
                             (left.kind != Segment::Kind::Literal || left.text == right.text);
                    });
}

bool Router::more_specific(const Row& a, const Row& b) {
  const std::size_t shared = std::min(a.segments.size(), b.segments.size());
  for (std::size_t i = 0; i < shared; ++i) {
    if (a.segments[i].kind != b.segments[i].kind) {
      return a.segments[i].kind > b.segments[i].kind;
    }
  }
  return a.segments.size() > b.segments.size();
}

bool Router::matches(const Row& row, const std::vector<std::string>& path) {
  for (std::size_t i = 0; i < row.segments.size(); ++i) {
    const Segment& segment = row.segments[i];
    if (segment.kind == Segment::Kind::Rest) return i <= path.size();
    if (i >= path.size()) return false;
    if (segment.kind == Segment::Kind::Literal ? segment.text != path[i] : path[i].empty()) {
      return false;
    }
  }
  return row.segments.size() == path.size();
}

void Router::fill_parameters(const Row& row, const std::vector<std::string>& path,
                             HttpRequest& request) {
  for (std::size_t i = 0; i < row.segments.size(); ++i) {
    const Segment& segment = row.segments[i];
    if (segment.kind == Segment::Kind::Parameter) {
      request.path_parameters.emplace_back(segment.text, path[i]);
    } else if (segment.kind == Segment::Kind::Rest) {
      std::string rest;
      for (std::size_t each = i; each < path.size(); ++each) {
        rest.append(each > i ? "/" : "").append(path[each]);
      }
      request.path_parameters.emplace_back(segment.text, std::move(rest));
    }
  }
}

const Router::Row* Router::best(const std::vector<std::string>& path) const {
  const Row* found = nullptr;
  for (const Row& row : rows_) {
    if (matches(row, path) && (found == nullptr || more_specific(row, *found))) found = &row;
  }
  return found;
}

void Router::add(Route route) {
  EVENTRELAY_ASSERT(!route.method.empty() && route.method != "HEAD" && route.handler);
  Row row;
  row.segments = parse(route.pattern);
  row.route = std::make_shared<const Route>(std::move(route));
  const bool doubled = std::any_of(rows_.begin(), rows_.end(), [&row](const Row& each) {
    return each.route->method == row.route->method && same_shape(each, row);
  });
  EVENTRELAY_ASSERT(!doubled);
  rows_.push_back(std::move(row));
}

Expected<std::shared_ptr<const Route>, HttpResponse> Router::route(
    HttpRequest& request, const Framing& framing, const AccessPolicy& policy) const {
  const std::string target = with_escaped_brackets(request.target);
  const std::optional<urls::url_view> url = parse_target(target, request);
  if (!url) {
    return Unexpected(error_response(request, 400, "the target is not a path with a query"));
  }
  request.path = std::string(url->encoded_path());
  if (auto refusal = judge_origin(request, framing.version, policy)) {
    return Unexpected(std::move(*refusal));
  }
  const std::vector<std::string> path = segments_of(*url);
  const Row* const shape = best(path);
  if (shape == nullptr) return Unexpected(error_response(request, 404, "no such path"));
  const Row* row = nullptr;
  std::string allowed;
  for (const Row& each : rows_) {
    if (!same_shape(each, *shape)) continue;
    if (each.route->method == route_method(request.method)) row = &each;
    allowed.append(allowed.empty() ? "" : ", ").append(each.route->method);
    if (each.route->method == "GET") allowed.append(", HEAD");
  }
  if (row == nullptr) {
    HttpResponse refusal = error_response(request, 405, "method not allowed");
    refusal.headers.emplace_back("Allow", std::move(allowed));
    return Unexpected(std::move(refusal));
  }
  const Route& found = *row->route;
  if (auto refusal = judge_access(request, found.access, policy)) {
    return Unexpected(std::move(*refusal));
  }
  if (auto refusal = judge_body(request, framing, found)) return Unexpected(std::move(*refusal));
  if (!found.produces.empty() && !accepts(accept_of(request), found.produces)) {
    return Unexpected(error_response(request, 406, "answers are " + found.produces));
  }
  fill_parameters(*row, path, request);
  read_query(*url, request);
  return row->route;
}

}  // namespace eventrelay
