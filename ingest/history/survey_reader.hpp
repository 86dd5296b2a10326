// Reads which subscriptions are paused or detached now, and how much waits.
//
// Why:     the state topic has a cursor for each backlog; what is behind it is told by offsets
//          alone, without reading the events.
// Owner:   History.  Thread: one owner, the thread of the history; waits.
// Bounds:  the budget's records and deadline.
// Errors:  HistoryTrouble; see logs.hpp.
#pragma once

#include "ingest/history/logs.hpp"
#include "ingest/history/questions.hpp"

namespace eventrelay::history {

// With Delays::Count also what waits in the delay topics is counted, as far as the budget goes.
[[nodiscard]] SurveyAnswer read_survey(Logs& logs, Delays delays, Budget& budget);

}  // namespace eventrelay::history
