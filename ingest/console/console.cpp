#include "ingest/console/console.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "common/base/crypto.hpp"
#include "ingest/console/console_files.hpp"

namespace eventrelay::console {
namespace {

std::string_view type_of(std::string_view name) {
  if (name.ends_with(".html")) return "text/html; charset=utf-8";
  if (name.ends_with(".js")) return "text/javascript; charset=utf-8";
  if (name.ends_with(".css")) return "text/css; charset=utf-8";
  return "image/svg+xml";
}

void add_guards(HttpResponse& response) {
  response.headers.emplace_back("Content-Security-Policy", std::string(kContentSecurityPolicy));
  response.headers.emplace_back("X-Content-Type-Options", "nosniff");
  response.headers.emplace_back("Referrer-Policy", "no-referrer");
  response.headers.emplace_back("Cross-Origin-Opener-Policy", "same-origin");
  response.headers.emplace_back("Cross-Origin-Resource-Policy", "same-origin");
}

// Changes with the bytes, so that a browser asks and is answered 304 as long as they stay.
std::string tag_of(const ConsoleFile& file) {
  return '"' + crypto::hex(crypto::sha256(file.bytes).view()).substr(0, 32) + '"';
}

HttpResponse file_response(const HttpRequest& request) {
  std::string_view name = request.parameter("file");
  if (name.empty()) name = "index.html";
  const auto files = console_files();
  const auto found = std::find_if(files.begin(), files.end(),
                                  [&](const ConsoleFile& each) { return each.name == name; });
  if (found == files.end()) return error_response(request, 404, "no such file of the console");
  HttpResponse response;
  response.content_type = std::string(type_of(found->name));
  add_guards(response);
  std::string tag = tag_of(*found);
  if (request.header("If-None-Match") == tag) {
    response.status = 304;
  } else {
    response.body = std::string(found->bytes);
  }
  response.headers.emplace_back("ETag", std::move(tag));
  response.headers.emplace_back("Cache-Control", "no-cache");
  return response;
}

}  // namespace

void mount_files(AdminServer& admin) {
  Route files{"GET", "/console/{file...}", Access::Own, at_once(file_response)};
  files.produces.clear();
  admin.add(std::move(files));
  Route bare{"GET", "/console", Access::Own, at_once([](const HttpRequest&) {
               HttpResponse response;
               response.status = 308;
               response.headers.emplace_back("Location", "/console/");
               return response;
             })};
  bare.produces.clear();
  admin.add(std::move(bare));
}

}  // namespace eventrelay::console
