#include "bench/load/requests.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>

#include "common/base/crypto.hpp"
#include "common/providers/provider.hpp"

namespace eventrelay::bench {

std::string box_body(std::uint64_t event, std::uint64_t object, std::size_t size) {
  if (size == 0) return providers::sample_body(*providers::find_provider("box"), event, object);
  std::string body = fmt::format(
      R"({{"type":"webhook_event","id":"{:016x}-bench","created_at":"2016-07-11T10:10:32-07:00",)"
      R"("trigger":"FILE.UPLOADED","source":{{"id":"{}","type":"file"}},"note":")",
      event, object);
  constexpr std::string_view kEnd = R"("})";
  body.append(std::max(size, body.size() + kEnd.size()) - body.size() - kEnd.size(), 'x');
  return body.append(kEnd);
}

Requests::Requests(const RequestOptions& options) {
  crypto::Hmac hmac(crypto::Digest::Sha256, options.key);
  const std::string stamp =
      fmt::format("{:%Y-%m-%dT%H:%M:%S}+00:00", fmt::gmtime(unix_seconds(options.now)));
  for (std::size_t i = 0; i < options.count; ++i) {
    const std::string body =
        box_body((options.seed << 32U) + i, 73'835'521'473U + i, options.body_size);
    hmac.start();
    hmac.update(body);
    hmac.update(stamp);
    bytes_ += fmt::format(
        "POST {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: Box-WH-Client/0.1\r\n"
        "Content-Type: application/json\r\nBOX-DELIVERY-ID: {:08x}-ee16-4fc5-aa65-8c2d9e5b546f\r\n"
        "BOX-DELIVERY-TIMESTAMP: {}\r\nBOX-SIGNATURE-PRIMARY: {}\r\nBOX-SIGNATURE-VERSION: 1\r\n"
        "BOX-SIGNATURE-ALGORITHM: HmacSHA256\r\nContent-Length: {}\r\n\r\n{}",
        options.paths[i % options.paths.size()], options.host, i, stamp,
        crypto::base64(hmac.finish().view()), body.size(), body);
    offsets_.push_back(bytes_.size());
  }
}

}  // namespace eventrelay::bench
