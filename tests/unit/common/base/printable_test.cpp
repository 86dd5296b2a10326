// Every byte at every place, against the same question asked byte by byte.
#include "common/base/printable.hpp"

#include <gtest/gtest.h>

#include <string>

namespace eventrelay {
namespace {

TEST(Printable, JudgesEveryByteAtEveryPlace) {
  for (std::size_t size = 1; size <= 25; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      for (int byte = 0; byte < 256; ++byte) {
        for (const char beside : {' ', 'a', '~'}) {
          std::string text(size, beside);
          const char c = static_cast<char>(byte);
          text[at] = c;
          const bool printable = byte >= 0x20 && byte <= 0x7E;
          ASSERT_EQ(is_printable(text), printable) << size << ' ' << at << ' ' << byte;
          const bool plain = printable && c != '"' && c != '\\';
          const bool plain_with = is_printable<'"', '\\'>(text);
          ASSERT_EQ(plain_with, plain) << size << ' ' << at << ' ' << byte;
        }
      }
    }
  }
}

TEST(Printable, TheEmptyTextIs) {
  EXPECT_TRUE(is_printable(""));
  EXPECT_TRUE((is_printable<'%', ' '>("")));
  EXPECT_FALSE((is_printable<'%', ' '>("eight or more")));
}

}  // namespace
}  // namespace eventrelay
