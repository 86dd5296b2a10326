// Keeps the memory of a process out of core files: keys, tokens and events stand in it in plain.
//
// Why:     a core file lies where nobody looks after it, and may be sent to a collector.
// Thread:  any; start only.
#pragma once

namespace eventrelay {

// From here on a crash of this process, and of its children, leaves no core file: neither in a
// folder nor through a pipe of kernel.core_pattern. Can not be taken back.
void forbid_core_dumps() noexcept;

}  // namespace eventrelay
