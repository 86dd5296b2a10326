// The files of the console as bytes of the program.
//
// Why:     a page that comes with the program needs no folder, no network and no build of its own.
// Thread:  any; constants.
#pragma once

#include <span>
#include <string_view>

namespace eventrelay::console {

struct ConsoleFile {
  std::string_view name;
  std::string_view bytes;
};

// Written by embed.cmake from the folder `web`.
[[nodiscard]] std::span<const ConsoleFile> console_files() noexcept;

}  // namespace eventrelay::console
