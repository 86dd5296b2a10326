// Serves the calls of the control API: who calls, what its class answers, what goes out.
//
// Why:     each class of calls says what its paths do; all else about a call is the same for all.
// Owner:   ControlApi.  Thread: control.
// Bounds:  a row for each path; kCallLimit for each call.
// Errors:  answers by the table of the API; 500 for an exception, which is logged.
#pragma once

#include <deque>
#include <functional>
#include <string_view>
#include <vector>

#include "common/process/admin.hpp"
#include "ingest/control/authorization.hpp"
#include "ingest/control/call.hpp"
#include "ingest/control/control_parts.hpp"

namespace eventrelay::control {

// Thread: control.  Bounds: as above.
class CallServer {
 public:
  explicit CallServer(const ControlParts& parts) : parts_(parts) {}
  CallServer(const CallServer&) = delete;
  CallServer& operator=(const CallServer&) = delete;

  // Adds the paths of `calls`, which outlives the listener, below `base`.
  template <class Calls>
  void mount(AdminServer& admin, std::string_view base, Calls& calls,
             const std::vector<CallRow<Calls>>& rows) {
    for (const CallRow<Calls>& row : rows) {
      const auto handler = row.handler;
      add(admin, base, {row.method, row.pattern, row.kind, [&calls, handler](const Call& call) {
                          return (calls.*handler)(call);
                        }});
    }
  }

 private:
  struct Row {
    std::string_view method;
    std::string_view pattern;
    Kind kind;
    std::function<Task<Result<Reply>>(const Call&)> handler;
  };

  void add(AdminServer& admin, std::string_view base, Row call);
  // Who calls, by the header and the kind of the path.
  [[nodiscard]] Result<bool> authorize(std::string_view header, Kind kind, Call& call);
  // Who calls, by the console's cookie.
  [[nodiscard]] Result<bool> authorize_session(const HttpRequest& request, const Row& row,
                                               Call& call);
  [[nodiscard]] Task<void> serve(const Row& row, HttpRequestPtr request, Responder respond);
  [[nodiscard]] Task<HttpResponse> answer(const Row& row, const HttpRequest& request, Call call);

  const ControlParts& parts_;
  std::deque<Row> rows_;  // a path keeps a reference to its row
  FailureLimit failures_;
};

}  // namespace eventrelay::control
