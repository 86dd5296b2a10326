// A certificate and key for 127.0.0.1, made once per test program and removed with it.
//
// Thread: any, after the first call.  Bounds: two files in a directory of their own.
#pragma once

#include "common/config/config.hpp"

namespace eventrelay::ingest::test {

[[nodiscard]] const TlsServerConfig& self_signed();

}  // namespace eventrelay::ingest::test
