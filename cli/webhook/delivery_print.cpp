#include "cli/webhook/delivery_print.hpp"

#include <fmt/format.h>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>

namespace eventrelay::cli {
namespace {

constexpr std::size_t kShownMax = 64U << 10;

std::string header_of(const Delivery& delivery, std::string_view name) {
  for (const auto& [field, value] : delivery.headers) {
    if (field.size() == name.size() &&
        std::equal(field.begin(), field.end(), name.begin(),
                   [](char a, char b) { return (a | 0x20) == (b | 0x20); })) {
      return value;
    }
  }
  return {};
}

}  // namespace

std::string DeliveryPrinter::problem(const Delivery& delivery) const {
  if (keys_.empty()) return {};
  Signed message;
  message.method = delivery.method;
  message.target = delivery.target;
  message.headers = delivery.headers;
  message.body = delivery.body;
  return judge(scheme_, keys_, message, wall_now());
}

bool DeliveryPrinter::show(const Delivery& delivery) const {
  const std::string reason = problem(delivery);
  const char* verdict = keys_.empty() ? "not judged" : reason.empty() ? "verified" : "NOT GENUINE";
  std::string id = header_of(delivery, "elements-webhook-id");
  if (id.empty()) id = header_of(delivery, "webhook-id");
  if (json_) {
    boost::json::object line;
    line["number"] = delivery.number;
    line["method"] = delivery.method;
    line["target"] = delivery.target;
    line["id"] = id;
    line["signature"] = verdict;
    line["reason"] = reason;
    line["answered"] = delivery.answered;
    boost::json::object headers;
    for (const auto& [name, value] : delivery.headers) headers[name] = value;
    line["headers"] = std::move(headers);
    line["body"] = delivery.body.substr(0, kShownMax);
    fmt::print("{}\n", boost::json::serialize(line));
  } else {
    fmt::print("#{} {} {} {} bytes, id {}, signature {}{}{}, answered {}\n", delivery.number,
               delivery.method, delivery.target, delivery.body.size(), id.empty() ? "-" : id,
               verdict, reason.empty() ? "" : ": ", reason, delivery.answered);
  }
  std::fflush(stdout);
  return reason.empty();
}

}  // namespace eventrelay::cli
