#include "bench/load/requests.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "common/base/crypto.hpp"

namespace eventrelay::bench {

std::string box_body(std::uint64_t event, std::uint64_t object) {
  return fmt::format(
      R"({{"type":"webhook_event","id":"{0:016x}-bench","created_at":"2016-07-11T10:10:32-07:00",)"
      R"("trigger":"FILE.UPLOADED","webhook":{{"id":"53","type":"webhook"}},)"
      R"("created_by":{{"type":"user","id":"226067247","name":"Box Developer",)"
      R"("login":"box@example.com"}},"source":{{"id":"{1}","type":"file",)"
      R"("file_version":{{"type":"file_version","id":"74200283905",)"
      R"("sha1":"0e16a0b1b4ed6a8a0bb3cd7a1a7ed3b5b8c0d1e2"}},"sequence_id":"0","etag":"0",)"
      R"("name":"Contract.pdf","description":"","size":1234567,)"
      R"("path_collection":{{"total_count":2,"entries":[{{"type":"folder","id":"0",)"
      R"("sequence_id":null,"etag":null,"name":"All Files"}},{{"type":"folder","id":"2614853901",)"
      R"("sequence_id":"1","etag":"1","name":"Contracts"}}]}},)"
      R"("created_at":"2016-07-11T10:10:32-07:00","modified_at":"2016-07-11T10:10:32-07:00",)"
      R"("trashed_at":null,"purged_at":null,"shared_link":null,"item_status":"active"}},)"
      R"("additional_info":[]}})",
      event, object);
}

Requests::Requests(const RequestOptions& options) {
  crypto::Hmac hmac(crypto::Digest::Sha256, options.key);
  const std::string stamp =
      fmt::format("{:%Y-%m-%dT%H:%M:%S}+00:00", fmt::gmtime(unix_seconds(options.now)));
  for (std::size_t i = 0; i < options.count; ++i) {
    const std::string body = box_body((options.seed << 32U) + i, 73'835'521'473U + i);
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
