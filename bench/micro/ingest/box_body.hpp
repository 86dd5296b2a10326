// A Box V2 body as it comes over the wire, 0.9 kB, for the benchmarks of single stages.
//
// Thread:  constant.  Bounds: about 0.9 kB.
#pragma once

#include <string>

namespace eventrelay::bench {

inline const std::string kBoxBody =
    R"({"type":"webhook_event","id":"0f5b2a7e-7b1c-4b0e-9d7a-5c1de0e0a111","created_at":)"
    R"("2016-07-11T10:10:32-07:00","trigger":"FILE.UPLOADED","webhook":{"id":"53","type":)"
    R"("webhook"},"created_by":{"type":"user","id":"226067247","name":"John Q. Developer",)"
    R"("login":"johnq@dev.name"},"source":{"id":"73835521473","type":"file","file_version":)"
    R"({"type":"file_version","id":"78096737033","sha1":)"
    R"("2c61623e86bee78e6ab444af456bccc7a1426095"},"sequence_id":"0","etag":"0","sha1":)"
    R"("2c61623e86bee78e6ab444af456bccc7a1426095","name":"Test-Image-3.png","description":"",)"
    R"("size":26458,"path_collection":{"total_count":1,"entries":[{"type":"folder","id":"0",)"
    R"("sequence_id":null,"etag":null,"name":"All Files"}]},"created_at":)"
    R"("2016-07-11T10:10:32-07:00","modified_at":"2016-07-11T10:10:32-07:00","trashed_at":null,)"
    R"("parent":{"type":"folder","id":"0","sequence_id":null,"etag":null,"name":"All Files"},)"
    R"("item_status":"active"},"additional_info":[]})";
inline const std::string kBoxStamp = "2016-07-11T10:10:33-07:00";
inline const std::string kBoxNow = "2016-07-11T17:10:34Z";

}  // namespace eventrelay::bench
