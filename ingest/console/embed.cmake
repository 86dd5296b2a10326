# Writes a C++ source with the bytes of FILES, which lie in FOLDER, to OUT.
file(WRITE ${OUT}.new "#include <array>\n\n#include \"ingest/console/console_files.hpp\"\n\n"
  "namespace eventrelay::console {\nnamespace {\n\n")
set(rows "")
set(number 0)
foreach(name IN LISTS FILES)
  file(READ ${FOLDER}/${name} bytes HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${bytes}")
  file(APPEND ${OUT}.new "constexpr char kFile${number}[] = {${bytes}};\n")
  string(APPEND rows "    {\"${name}\", {kFile${number}, sizeof kFile${number}}},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(APPEND ${OUT}.new "constexpr std::array<ConsoleFile, ${number}> kFiles{{\n${rows}}};\n\n"
  "}  // namespace\n\nstd::span<const ConsoleFile> console_files() noexcept {\n"
  "  return kFiles;\n}\n\n}  // namespace eventrelay::console\n")
file(RENAME ${OUT}.new ${OUT})
