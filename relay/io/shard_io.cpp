#include "relay/io/shard_io.hpp"

namespace eventrelay::relay {

LoopTimer::~LoopTimer() = default;
Loop::~Loop() = default;
GroupMember::~GroupMember() = default;
PartitionReader::~PartitionReader() = default;
RecordSink::~RecordSink() = default;
EndpointCaller::~EndpointCaller() = default;
ShardIo::~ShardIo() = default;

}  // namespace eventrelay::relay
