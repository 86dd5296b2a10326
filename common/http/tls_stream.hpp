// The TLS stream of both sides, over the socket with the concrete executor.
//
// Thread: a stream belongs to the shard whose io_context its socket was made with.
// Bounds: two records of 16 KiB per stream.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>

#include "common/http/types.hpp"

namespace eventrelay {

using TlsContext = asio::ssl::context;
using TlsStream = asio::ssl::stream<Socket>;

}  // namespace eventrelay
