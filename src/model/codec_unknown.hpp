// model/codec_unknown.hpp -- members that a newer version wrote and this one does not know, kept so that they can be
// written back: going up, down and up again loses nothing.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace abide::model {

struct Unknown {
    // JSON text of the unknown members of this object, without the braces: `"a":1,"b":{}`.
    std::string members;
    // Unknown members further down: by member name; below the name of a list, by the element's id or "#position".
    std::map<std::string, Unknown, std::less<>> parts;

    bool empty() const { return members.empty() && parts.empty(); }
    const Unknown* part(std::string_view name) const {
        const auto found = parts.find(name);
        return found == parts.end() ? nullptr : &found->second;
    }
    // A member whose name begins with '!' says that a reader who does not know it must not act on the value.
    bool critical() const {
        if (members.starts_with("\"!") || members.find(",\"!") != std::string::npos) return true;
        for (const auto& [name, part] : parts) {
            if (part.critical()) return true;
        }
        return false;
    }
};

}  // namespace abide::model
