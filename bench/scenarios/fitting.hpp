// Whether a run can be what it is asked to be: a broker on loopback that answers, and a shape that
// fits the memory and the descriptors of this machine.
//
// Why:     a run that begins to swap, or that a broker elsewhere answers, measures something else.
// Thread:  any; blocks for a second at most.  Bounds: none of its own.
// Errors:  std::runtime_error with one line that says what to change.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "bench/scenarios/scenarios.hpp"

namespace eventrelay::bench {

// What a run holds, in bytes: requests made beforehand, records that wait in Kafka's page cache,
// times of arrival, and the instances in this program and in those under test.
[[nodiscard]] std::uint64_t memory_of(const BenchOptions& options, std::uint64_t requests,
                                      std::uint64_t records);

// Throws unless that is available; `available`: bytes, as /proc/meminfo says.
void refuse_what_does_not_fit(std::uint64_t needed, std::uint64_t available);
[[nodiscard]] std::uint64_t memory_available();

// Throws unless every address of `kafka` is of loopback and somebody listens there.
void require_local_broker(const std::string& kafka);

// Throws where this process may not open so many descriptors; takes what it may.
void require_descriptors(std::uint64_t needed);

}  // namespace eventrelay::bench
