// Finds the events of one question, newest first, a page at a time.
//
//   the newest stretch of each partition -> older ones of those that are least far back -> a page
//   and a token that says below which offset each partition goes on
//
// Why:     an integrator looks at the newest; reading backwards costs what is shown, however long
//          the log is.
// Owner:   History.  Thread: one owner, the thread of the history; waits.
// Bounds:  the budget's records and deadline; kBytesMax of bodies a page.
// Errors:  HistoryTrouble: BadToken for a token that is not of an earlier page; see logs.hpp.
#pragma once

#include "ingest/history/logs.hpp"
#include "ingest/history/questions.hpp"

namespace eventrelay::history {

// What was found when the budget is used up is a page, too.
[[nodiscard]] PageAnswer find_events(Logs& logs, const Question& question, Budget& budget);

}  // namespace eventrelay::history
