// One change of the registry: an instance that is new or differs, or one that is deleted.
//
// Why:     a file that is read again, a document in Kafka and a test all change a registry in the
//          same way; its users touch what the change names and nothing else.
// Thread:  any; a value.
// Bounds:  as its instance. Several changes of one id in a row: the last one counts.
#pragma once

#include <vector>

#include "common/base/ids.hpp"
#include "common/registry/instance.hpp"

namespace eventrelay {

struct Change {
  InstanceId id;
  InstancePtr instance;  // what it is from now on, its id being `id`; null: it is deleted
};

using Changes = std::vector<Change>;

}  // namespace eventrelay
