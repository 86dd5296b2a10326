// eventrelay-relay: reads events from Kafka, signs them and delivers them to their callbacks.
#include "common/process/runtime.hpp"
#include "relay/service.hpp"

int main(int argc, char** argv) {
  return eventrelay::run_service(argc, argv, "eventrelay-relay",
                                 [] { return eventrelay::relay::make_service(); });
}
