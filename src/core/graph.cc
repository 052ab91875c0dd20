// core/graph.cc -- a configuration is refused before anything changes: missing names, contradictions, and every cycle
// with each of its edges and where it is written.
//
// Order runs from a service to what must be there first.  Cycles are found as strongly connected components (Tarjan,
// with a stack of our own), so a chain of 10,000 needs no recursion and the whole takes one pass.
#include "core/graph.hpp"

#include <algorithm>
#include <map>
#include <string_view>

#include "model/text.hpp"

namespace abide::core {

using namespace model;

namespace {

struct Arc {
    std::size_t to = 0;
    std::string_view relation;
};

struct Graph {
    std::vector<const ServiceSpec*> specs;
    std::vector<std::vector<Arc>> arcs;
};

bool orders(const Dependency& d) {
    if (d.relation == Relation::conflicts) return false;
    return d.await != Await::none || d.relation == Relation::after || d.relation == Relation::before;
}

std::string_view key_of(Relation relation) {
    switch (relation) {
        case Relation::requires_: return "requires";
        case Relation::wants: return "wants";
        case Relation::binds_to: return "binds-to";
        case Relation::part_of: return "part-of";
        case Relation::after: return "after";
        case Relation::before: return "before";
        case Relation::conflicts: return "conflicts";
    }
    return "";
}

// Components of more than one node, each in the order found.
class Components {
  public:
    explicit Components(const Graph& graph)
        : graph_(graph), index_(graph.specs.size(), kUnseen), low_(index_), on_(index_.size()) {
        for (std::size_t v = 0; v < index_.size(); ++v) {
            if (index_[v] == kUnseen) walk(v);
        }
    }
    std::vector<std::vector<std::size_t>> found;

  private:
    static constexpr std::size_t kUnseen = static_cast<std::size_t>(-1);

    void walk(std::size_t root) {
        std::vector<std::pair<std::size_t, std::size_t>> frames;
        enter(root);
        frames.emplace_back(root, 0);
        while (!frames.empty()) {
            auto& [v, next] = frames.back();
            if (next < graph_.arcs[v].size()) {
                const std::size_t w = graph_.arcs[v][next++].to;
                if (index_[w] == kUnseen) {
                    enter(w);
                    frames.emplace_back(w, 0);
                } else if (on_[w]) {
                    low_[v] = std::min(low_[v], index_[w]);
                }
                continue;
            }
            const std::size_t done = v;
            frames.pop_back();
            if (!frames.empty()) low_[frames.back().first] = std::min(low_[frames.back().first], low_[done]);
            if (low_[done] == index_[done]) leave(done);
        }
    }
    void enter(std::size_t v) {
        index_[v] = low_[v] = count_++;
        stack_.push_back(v);
        on_[v] = 1;
    }
    void leave(std::size_t v) {
        std::vector<std::size_t> component;
        std::size_t w = 0;
        do {
            w = stack_.back();
            stack_.pop_back();
            on_[w] = 0;
            component.push_back(w);
        } while (w != v);
        if (component.size() > 1) found.push_back(std::move(component));
    }

    const Graph& graph_;
    std::vector<std::size_t> index_, low_, on_, stack_;
    std::size_t count_ = 0;
};

// A shortest way from the component's first member back to itself, as the message shows it.
std::string cycle_text(const Graph& graph, const std::vector<std::size_t>& component) {
    std::map<std::size_t, std::pair<std::size_t, std::string_view>> came_from;
    const std::size_t start = *std::min_element(component.begin(), component.end());
    std::vector<std::size_t> queue{start};
    bool closed = false;
    for (std::size_t i = 0; i < queue.size() && !closed; ++i) {
        for (const Arc& arc : graph.arcs[queue[i]]) {
            if (std::find(component.begin(), component.end(), arc.to) == component.end()) continue;
            if (!came_from.emplace(arc.to, std::pair{queue[i], arc.relation}).second) continue;
            closed = arc.to == start;
            if (closed) break;
            queue.push_back(arc.to);
        }
    }
    std::vector<std::string> edges;
    for (std::size_t at = start;;) {
        const auto& [from, relation] = came_from.at(at);
        const ServiceSpec& spec = *graph.specs[from];
        std::string edge = spec.name + " " + std::string(relation) + " " + graph.specs[at]->name;
        if (!spec.source.file.empty()) edge += " (" + spec.source.file + ":" + std::to_string(spec.source.line) + ")";
        edges.push_back(std::move(edge));
        at = from;
        if (at == start) break;
    }
    std::string text = "dependency cycle: ";
    for (std::size_t i = edges.size(); i-- > 0;) text += edges[i] + (i == 0 ? "" : ", ");
    return text;
}

}  // namespace

std::vector<Problem> validate(const Configuration& configuration) {
    std::vector<Problem> problems;
    Graph graph;
    std::map<std::string_view, std::size_t> by_name;
    std::map<std::string_view, const ServiceSpec*> providers;
    for (const ServiceSpec& spec : configuration.services) {
        const auto report = [&](std::string text, std::string advice = {}) {
            problems.push_back({spec.name, std::move(text), spec.source, std::move(advice)});
        };
        if (!by_name.emplace(spec.name, graph.specs.size()).second) report(spec.name + " is defined twice");
        for (const std::string& name : spec.provides) {
            const auto [it, fresh] = providers.emplace(name, &spec);
            if (!fresh) report("both " + it->second->name + " and " + spec.name + " provide " + name);
        }
        graph.specs.push_back(&spec);
    }
    graph.arcs.resize(graph.specs.size());
    for (std::size_t from = 0; from < graph.specs.size(); ++from) {
        const ServiceSpec& spec = *graph.specs[from];
        const auto report = [&](std::string text, std::string advice = {}) {
            problems.push_back({spec.name, std::move(text), spec.source, std::move(advice)});
        };
        std::vector<std::string_view> pulled, excluded;
        for (const Dependency& d : spec.dependencies) {
            const std::string edge = spec.name + " " + std::string(key_of(d.relation)) + " " + d.target;
            if (d.target == spec.name) {
                report(edge + ", which is itself", "remove the edge");
                continue;
            }
            auto it = by_name.find(d.target);
            if (it == by_name.end()) {
                const bool soft = d.relation == Relation::after || d.relation == Relation::before ||
                                  d.relation == Relation::conflicts || d.relation == Relation::wants;
                if (!soft) report(edge + ", which is not defined", "define it or remove the edge");
                continue;
            }
            const ServiceSpec& target = *graph.specs[it->second];
            const bool task_end = d.await == Await::completed || d.await == Await::succeeded;
            if (d.await == Await::healthy && !target.health) {
                report(edge + " to be healthy, but " + d.target + " has no health check",
                       "give it `health`, or wait for ready");
            }
            if (task_end && target.kind != Kind::task && target.restart == RestartPolicy::always) {
                report(edge + " to end, but " + d.target + " is always restarted", "make it kind = \"task\"");
            }
            if (d.relation == Relation::conflicts)
                excluded.push_back(d.target);
            else if (d.relation == Relation::requires_ || d.relation == Relation::binds_to)
                pulled.push_back(d.target);
            if (!orders(d)) continue;
            if (d.relation == Relation::before)
                graph.arcs[it->second].push_back({from, "is after (before)"});
            else
                graph.arcs[from].push_back({it->second, key_of(d.relation)});
        }
        for (const std::string_view name : pulled) {
            if (std::find(excluded.begin(), excluded.end(), name) == excluded.end()) continue;
            report(spec.name + " both requires and conflicts with " + std::string(name), "remove one of the two");
        }
    }
    for (const auto& component : Components(graph).found) {
        const ServiceSpec& first = *graph.specs[*std::min_element(component.begin(), component.end())];
        problems.push_back({first.name, cycle_text(graph, component), first.source, "remove one of these edges", true});
    }
    return problems;
}

}  // namespace abide::core
