//! Documentation of the commands on bits.

use crate::commands::doc::{Argument, Doc};

const G: &str = "bitmap";
const KEY: Argument = Argument::key("key");
const BIT: Argument = Argument::integer("bit");
const START: Argument = Argument::integer("start");
const END: Argument = Argument::integer("end");
const UNIT: Argument =
    Argument::one_of("unit", &[Argument::word("byte", "BYTE"), Argument::word("bit", "BIT")]).optional();
const ENCODING: Argument = Argument::string("encoding");
const OFFSET: Argument = Argument::integer("offset");
const GET: Argument = Argument::block("get-block", &[ENCODING, OFFSET]).token("GET");

pub(in crate::commands) static GETBIT: Doc =
    Doc::new(G, "2.2.0", "O(1)", "Returns the bit at an offset.").with(&[KEY, OFFSET]);
pub(in crate::commands) static SETBIT: Doc = Doc::new(
    G,
    "2.2.0",
    "O(N) in the length of the value",
    "Sets the bit at an offset; returns the old one.",
)
.with(&[KEY, OFFSET, Argument::integer("value")]);
pub(in crate::commands) static BITCOUNT: Doc =
    Doc::new(G, "2.6.0", "O(N) in the length of the range", "Counts the bits that are set.")
        .with(&[KEY, Argument::block("range", &[START, END, UNIT]).optional()]);
pub(in crate::commands) static BITPOS: Doc =
    Doc::new(G, "2.8.7", "O(N) in the length of the range", "Finds the first bit that is set, or clear.")
        .with(&[
            KEY,
            BIT,
            Argument::block("range", &[START, Argument::block("end-unit-block", &[END, UNIT]).optional()])
                .optional(),
        ]);
pub(in crate::commands) static BITFIELD: Doc = Doc::new(
    G,
    "3.2.0",
    "O(N) in the length of the value",
    "Reads, writes and adds to integers of any width at any bit of a value.",
)
.with(&[
    KEY,
    Argument::one_of(
        "operation",
        &[
            GET,
            Argument::block(
                "write",
                &[
                    Argument::one_of(
                        "overflow-block",
                        &[
                            Argument::word("wrap", "WRAP"),
                            Argument::word("sat", "SAT"),
                            Argument::word("fail", "FAIL"),
                        ],
                    )
                    .token("OVERFLOW")
                    .optional(),
                    Argument::one_of(
                        "write-operation",
                        &[
                            Argument::block("set-block", &[ENCODING, OFFSET, Argument::integer("value")])
                                .token("SET"),
                            Argument::block(
                                "incrby-block",
                                &[ENCODING, OFFSET, Argument::integer("increment")],
                            )
                            .token("INCRBY"),
                        ],
                    ),
                ],
            ),
        ],
    )
    .optional()
    .multiple(),
]);
pub(in crate::commands) static BITFIELD_RO: Doc =
    Doc::new(G, "6.0.0", "O(1) for each integer", "Reads integers of any width at any bit of a value.")
        .with(&[KEY, GET.optional().multiple()]);
pub(in crate::commands) static BITOP: Doc = Doc::new(
    G,
    "2.6.0",
    "O(N) in the length of the longest value",
    "Combines the bits of several values and stores the result.",
)
.with(&[
    Argument::one_of(
        "operation",
        &[
            Argument::word("and", "AND"),
            Argument::word("or", "OR"),
            Argument::word("xor", "XOR"),
            Argument::word("not", "NOT"),
        ],
    ),
    Argument::key("destkey"),
    KEY.multiple(),
]);
