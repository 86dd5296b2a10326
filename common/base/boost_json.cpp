// Boost.JSON, compiled here once: the distribution's headers are enough, no further package.
#include <boost/json/src.hpp>
