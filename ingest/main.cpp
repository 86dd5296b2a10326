// eventrelay-ingest: takes webhooks over HTTP and answers once Kafka has them.
#include "common/base/allocator.hpp"
#include "common/process/runtime.hpp"
#include "ingest/service.hpp"

int main(int argc, char** argv) {
  eventrelay::deepen_malloc_caches(argv);
  return eventrelay::run_service(argc, argv, "eventrelay-ingest",
                                 [] { return eventrelay::ingest::make_service(); });
}
