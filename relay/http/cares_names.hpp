// Names looked up with c-ares: /etc/hosts first, then the name servers of /etc/resolv.conf.
//
// Why:     c-ares never blocks, so any number of names is asked for at once on one thread and a
//          slow name server delays nobody else's name; it tells how long an answer holds.
//          IPv4 and IPv6 are asked for apart: a name server that drops one of the two questions
//          delays the answer by kSecondFamily, not by its whole timeout (RFC 8305 3).
// Owner:   the resolver.  Thread: one of its own runs everything; ask() and stop() from any.
// Bounds:  one question per ask() under way; each ends after kTries tries.
// Errors:  LookupAnswer::reason; StartError from the constructor if c-ares can not begin.
#pragma once

#include <memory>
#include <string>

#include "relay/http/name_service.hpp"

namespace eventrelay::relay {

// Thread: see the head of this file.
class CaresNames final : public NameService {
 public:
  // `servers` as "127.0.0.1:5353,[::1]:53"; empty = those of /etc/resolv.conf.
  explicit CaresNames(const std::string& servers = {});
  CaresNames(const CaresNames&) = delete;
  CaresNames& operator=(const CaresNames&) = delete;
  ~CaresNames() override;

  void ask(const std::string& host, Done done) override;
  void stop() override;

 private:
  class Loop;

  std::unique_ptr<Loop> loop_;
};

}  // namespace eventrelay::relay
