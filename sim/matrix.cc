// sim/matrix.cc -- see the header.
//
// No cell is written by hand.  The situations are those that one life passes through (sim/life.cc); the clients are the
// verbs of the model; and what the model has but no life passed through is listed as pending, as are the kinds of state
// that the model does not have yet.  Each cell runs twice from the same instant: once with the manager lost, once with
// it only late (its twin); then their stories must be the same.
#include "matrix.hpp"

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>
#include <vector>

#include "life.hpp"
#include "model/text.hpp"

namespace abide::sim {

using namespace model;

namespace {

template <class E>
std::vector<E> all_of() {
    std::vector<E> all;
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<E>>([&](auto e) { all.push_back(e.value); });
    return all;
}

std::string words(std::string text) {
    for (char& c : text) c = c == '-' ? ' ' : c;
    return text;
}

// Somebody waits for the answer to this; nullopt: nobody.
using Client = std::optional<Verb>;

std::vector<Client> clients() {
    std::vector<Client> all{std::nullopt};
    for (const Verb verb : all_of<Verb>()) {
        // These are answered at once, or are not about one service (an upgrade is a How, not a client).
        const bool waits = verb != Verb::kill && verb != Verb::enable && verb != Verb::disable && verb != Verb::apply &&
                           verb != Verb::cancel && verb != Verb::upgrade && verb != Verb::upgrade_anchor;
        if (waits) all.emplace_back(verb);
    }
    return all;
}

struct Cell {
    std::string situation;
    How how{};
    Then then{};
    Client client;
    std::string name;
    Tracking tracking{};
    std::string title() const {
        return situation + " × " + words(to_text(how)) + " × " + words(to_text(then)) + " × client in " +
               (client ? to_text(*client) : "nothing") + " × " + name + " × " + words(to_text(tracking));
    }
};

std::vector<Cell> cells_of(const std::string& situation, const std::string& name, Tracking tracking) {
    std::vector<Cell> cells;
    for (const How how : all_of<How>()) {
        for (const Then then : all_of<Then>()) {
            for (const Client& client : clients()) cells.push_back({situation, how, then, client, name, tracking});
        }
    }
    return cells;
}

void finish(Life& life) {
    for (int i = 0; i < 5000 && life.advance(); ++i) {}
}

Life live(Life life, const Cell& cell, bool loses) {
    if (cell.client) {
        life.advance();
        life.interrupt(cell.how, cell.then, loses);
        life.ask(*cell.client);
    } else {
        life.interrupt(cell.how, cell.then, loses);
        life.advance();
    }
    finish(life);
    return life;
}

std::string first_difference(const std::string& a, const std::string& b) {
    std::size_t at = 0;
    while (at < a.size() && at < b.size() && a[at] == b[at]) ++at;
    if (at == a.size() && at == b.size()) return {};
    const auto line = [&](const std::string& text) {
        const std::size_t begin = text.rfind('\n', at == 0 ? 0 : at - 1);
        const std::size_t first = begin == std::string::npos ? 0 : begin + 1;
        return text.substr(first, text.find('\n', std::max(first, at)) - first);
    };
    return "\"" + line(a) + "\", its twin: \"" + line(b) + "\"";
}

std::string judge(const Life& before, const Cell& cell, bool show) {
    const Life one = live(before, cell, true), twin = live(before, cell, false);
    if (show) std::printf("---- lost\n%s---- its twin\n%s", one.story().c_str(), twin.story().c_str());
    if (const std::string problem = twin.problem(); !problem.empty()) return "the twin: " + problem;
    if (const std::string problem = one.problem(); !problem.empty()) return problem;
    if (one.took_children()) return {};
    return first_difference(one.story(), twin.story());
}

// The first step into each situation, as the life stood before it.
std::vector<std::pair<std::string, Life>> situations(const std::string& name, Tracking tracking) {
    std::vector<std::pair<std::string, Life>> all;
    std::set<std::string> seen;
    Life life(name, tracking);
    while (true) {
        Life before = life;
        if (!life.advance() || life.ended()) return all;
        const std::string situation = life.situation();
        if (seen.insert(situation).second) all.emplace_back(situation, std::move(before));
    }
}

template <class E>
void list_unseen(std::string& page, const char* kind, const std::set<std::string>& seen) {
    for (const E value : all_of<E>()) {
        const std::string text = to_text(value);
        const bool met = std::ranges::any_of(seen, [&](const std::string& situation) {
            return (", " + situation + ",").find(", " + text + ",") != std::string::npos;
        });
        if (!met && text != "none" && text != "main") page += std::string("- ") + kind + " " + text + "\n";
    }
}

std::string pending(const std::set<std::string>& seen) {
    std::string page = "\n## Pending\n\nIn the model, and not passed through by a life here:\n";
    list_unseen<State>(page, "state", seen);
    list_unseen<Stage>(page, "stage", seen);
    list_unseen<Role>(page, "process", seen);
    page += "\nNot in the model yet:\n";
    for (const char* verb : {"emit", "action"}) {
        const bool there = std::ranges::any_of(all_of<Verb>(), [&](Verb v) { return to_text(v) == verb; });
        if (!there) page += std::string("- a client in ") + verb + "\n";
    }
    page +=
        "- waiting on an event (triggers), timers, the hook of a refresh\n"
        "- a chroot session\n"
        "\nNot of the core: a client in `wait` or in follow (`logs -f`, `events -f`) reads files and asks no manager; "
        "it stands\n"
        "in the matrix of real processes (tests/system/matrix.py).\n";
    return page;
}

}  // namespace

MatrixResult run_matrix(const std::string& only) {
    MatrixResult result;
    std::set<std::string> seen;
    std::vector<std::string> order;
    std::map<std::string, std::map<How, std::size_t>> count;
    for (const Tracking tracking : all_of<Tracking>()) {
        for (const std::string& name : {std::string("s"), std::string("s@1")}) {
            for (const auto& [situation, before] : situations(name, tracking)) {
                if (seen.insert(situation).second) order.push_back(situation);
                for (const Cell& cell : cells_of(situation, name, tracking)) {
                    if (!only.empty() && cell.title() != only) continue;
                    const std::string wrong = judge(before, cell, !only.empty());
                    result.cells += 1;
                    count[situation][cell.how] += 1;
                    if (!wrong.empty()) result.failures += cell.title() + ": " + wrong + "\n";
                }
            }
        }
    }
    std::string& page = result.page;
    page =
        "# The matrix in the simulator\n\n"
        "Made by `abide-sim --matrix`, which runs every cell; the tests compare it, `ABIDE_WRITE=1` "
        "writes\n"
        "it anew.  A cell is a situation of a service × how its manager goes × what happens before the next one works\n"
        "(";
    for (const Then then : all_of<Then>()) page += (then == Then{} ? "" : ", ") + words(to_text(then));
    page += ") × a client that waits in (";
    for (const Client& client : clients())
        page += client ? (*client == Verb{} ? "" : ", ") + to_text(*client) : "nothing, ";
    page +=
        ") × a single service or an\n"
        "instance of several × how it is known who belongs to a run (";
    for (const Tracking tracking : all_of<Tracking>())
        page += (tracking == Tracking{} ? "" : ", ") + words(to_text(tracking));
    page +=
        ").  The last\n"
        "is all that the core knows of a scope: the machine's instance has control groups, that of a plain user most "
        "often\n"
        "has none, and finds what a service forked by the sessions in its journal.\n\n"
        "A cell's twin meets the same with a manager that is only late; both must tell the same "
        "story:\n"
        "order of actions, events, exit statuses, restarts, drawn delays, answers.  The numbers count cells.\n\n| "
        "situation |";
    std::string rule = "|---|";
    for (const How how : all_of<How>()) {
        page += " " + words(to_text(how)) + " |";
        rule += "---|";
    }
    page += "\n" + rule + "\n";
    for (const std::string& situation : order) {
        page += "| " + situation + " |";
        for (const How how : all_of<How>()) page += " " + std::to_string(count[situation][how]) + " |";
        page += "\n";
    }
    page += "\n" + std::to_string(result.cells) + " cells.\n" + pending(seen);
    return result;
}

}  // namespace abide::sim
