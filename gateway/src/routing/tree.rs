//! A tree of path segments: one node for each prefix of a pattern, and the routes that end there.
//!
//! A request walks it from the left: the static child, then the parameter, then the rest, which is the order of
//! specificity. When what it finds there does not answer (method, header, query), it comes back and tries the less
//! specific. Each node knows the highest priority below it, so that a walk skips whatever cannot beat what it has.
//! A walk visits at most the nodes that the configuration holds, and allocates nothing.

use std::collections::HashMap;

use ahash::RandomState;
use smallvec::SmallVec;

use super::content::Content;
use super::content_index::Leaves;
use super::host::fixed_hasher;
use super::method::MethodSet;
use super::pattern::{Pattern, Segment};
use crate::algorithms::words;

/// Byte ranges of a path, one for each parameter of the pattern.
pub type Params = SmallVec<[(u32, u32); 4]>;

/// No node.
const NONE: u32 = u32::MAX;

/// All trees of a table, in one place.
#[derive(Debug, Default)]
pub(super) struct Forest {
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    statics: Statics,
    param: u32,
    /// Routes whose pattern ends here.
    end: Leaves,
    /// Routes whose pattern ends with a rest here.
    rest: Leaves,
    /// The highest priority of the routes at or below this node.
    priority: i64,
}

/// Most nodes have one child; a map costs more than a comparison there.
#[derive(Debug)]
enum Statics {
    None,
    One(Box<str>, u32),
    Many(HashMap<Box<str>, u32, RandomState>),
}

/// A route at the end of its path.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    pub(super) route: u32,
    /// Conditions on method, headers and query.
    pub(super) conditions: u32,
    pub(super) priority: i64,
    /// There are conditions beside the method.
    pub(super) has_content: bool,
    pub(super) methods: MethodSet,
}

/// Who is shown what a walk finds.
pub(super) trait Visitor {
    /// The lowest priority that is still of interest; `None` when all are.
    fn above(&self) -> Option<i64>;
    /// The leaves of a place that the path matches, the best first, and the parameters there.
    fn leaves(&mut self, leaves: &Leaves, params: &Params);
}

impl Forest {
    /// A new root.
    pub(super) fn plant(&mut self) -> u32 {
        let node = Node {
            statics: Statics::None,
            param: NONE,
            end: Leaves::default(),
            rest: Leaves::default(),
            priority: i64::MIN,
        };
        self.nodes.push(node);
        (self.nodes.len() - 1) as u32
    }

    /// Puts a route below a root.
    pub(super) fn insert(&mut self, root: u32, pattern: &Pattern, leaf: Leaf) {
        let mut at = root;
        self.node_mut(at).raise(leaf.priority);
        for segment in pattern.segments() {
            at = match segment {
                Segment::Static(text) => self.static_child(at, text),
                Segment::Param(_) => self.param_child(at),
                Segment::Rest(_) => {
                    self.node_mut(at).rest.place(leaf);
                    return;
                }
            };
            self.node_mut(at).raise(leaf.priority);
        }
        self.node_mut(at).end.place(leaf);
    }

    /// Indexes the long lists of leaves, when all routes are in.
    pub(super) fn index(&mut self, contents: &[Content]) {
        for node in &mut self.nodes {
            node.end.index(contents);
            node.rest.index(contents);
        }
    }

    /// Shows all that a normalised path matches below a root, the more specific first.
    #[inline]
    pub(super) fn walk(&self, root: u32, path: &str, params: &mut Params, visitor: &mut impl Visitor) {
        self.descend(root, path, 1, params, visitor);
    }

    /// `at` is where the next segment begins; one past the end when there is none.
    fn descend(&self, node: u32, path: &str, at: usize, params: &mut Params, visitor: &mut impl Visitor) {
        let node = &self.nodes[node as usize];
        if visitor.above().is_some_and(|priority| node.priority <= priority) {
            return;
        }
        let Some(left) = path.get(at..) else {
            if !node.end.list.is_empty() {
                visitor.leaves(&node.end, params);
            }
            self.rest(node, (path.len(), path.len()), params, visitor);
            return;
        };
        let length = words::position(left.as_bytes(), b'/').unwrap_or(left.len());
        if let Some(child) = node.statics.get(&left[..length]) {
            self.descend(child, path, at + length + 1, params, visitor);
        }
        if node.param != NONE && length > 0 {
            params.push((at as u32, (at + length) as u32));
            self.descend(node.param, path, at + length + 1, params, visitor);
            params.pop();
        }
        self.rest(node, (at, path.len()), params, visitor);
    }

    fn rest(&self, node: &Node, range: (usize, usize), params: &mut Params, visitor: &mut impl Visitor) {
        if !node.rest.list.is_empty() {
            params.push((range.0 as u32, range.1 as u32));
            visitor.leaves(&node.rest, params);
            params.pop();
        }
    }

    fn static_child(&mut self, at: u32, text: &str) -> u32 {
        if let Some(child) = self.nodes[at as usize].statics.get(text) {
            return child;
        }
        let child = self.plant();
        self.node_mut(at).statics.insert(text, child);
        child
    }

    fn param_child(&mut self, at: u32) -> u32 {
        let child = self.nodes[at as usize].param;
        if child != NONE {
            return child;
        }
        let child = self.plant();
        self.node_mut(at).param = child;
        child
    }

    fn node_mut(&mut self, at: u32) -> &mut Node {
        &mut self.nodes[at as usize]
    }
}

impl Node {
    fn raise(&mut self, priority: i64) {
        self.priority = self.priority.max(priority);
    }
}

impl Statics {
    #[inline]
    fn get(&self, segment: &str) -> Option<u32> {
        match self {
            Self::None => None,
            Self::One(text, child) => (**text == *segment).then_some(*child),
            Self::Many(map) => map.get(segment).copied(),
        }
    }

    fn insert(&mut self, text: &str, child: u32) {
        *self = match std::mem::replace(self, Self::None) {
            Self::None => Self::One(text.into(), child),
            Self::One(first, node) => {
                let mut map = HashMap::with_hasher(fixed_hasher());
                map.insert(first, node);
                map.insert(text.into(), child);
                Self::Many(map)
            }
            Self::Many(mut map) => {
                map.insert(text.into(), child);
                Self::Many(map)
            }
        };
    }
}
