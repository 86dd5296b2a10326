// One Box event as the relay has it, for the micro-benchmarks.
//
// Thread:  constants and values.  Bounds: a body of about 0.9 kB.
#pragma once

#include <string>

#include "common/base/event.hpp"
#include "common/registry/registry.hpp"

namespace eventrelay::relay {

// A webhook_event of about 900 bytes.
inline std::string box_body() {
  std::string body = R"({"type":"webhook_event","id":"eb0c4e06-751f-442c-86f8-fd5bb404dbec",)"
                     R"("created_at":"2016-07-11T10:10:32-07:00","trigger":"FILE.UPLOADED",)"
                     R"("webhook":{"id":"53","type":"webhook"},)"
                     R"("created_by":{"id":"226067247","type":"user",)"
                     R"("name":"John Q. Developer",)"
                     R"("login":"johnq@dev.name"},"source":{"id":"73835521473","type":"file",)"
                     R"("file_version":{"type":"file_version","id":"78096737033","sha1":)"
                     R"("2c61623e86bee78e6ab444af456bccc7a1164095"},"description":")";
  body.append(900 - body.size() - 3, 'x');
  return body + R"("}})";
}

inline Instance box_instance() {
  Instance instance;
  instance.id = InstanceId{427236};
  instance.name = "docs";
  instance.element = "box";
  instance.hub = "documents";
  return instance;
}

inline Event box_event(const std::string& body) {
  Event event;
  event.id = "0190d7c4-5b7a-7c3e-9d52-3f1d3a1c2b4e";
  event.element = "box";
  event.instance = InstanceId{427236};
  event.event_type = "CREATED";
  event.object_type = "file";
  event.object_id = "73835521473";
  event.date = "2016-07-11T17:10:32Z";
  event.received = WallTime{std::chrono::seconds{1'468'257'033}};
  event.content_type = "application/json";
  event.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  event.body = body;
  return event;
}

}  // namespace eventrelay::relay
