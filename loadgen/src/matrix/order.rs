//! The order of turns: block after block, every scenario in each, the servers forwards in one block and backwards in the
//! next (ABBA), so that whatever drifts on the machine drifts for all of them.

use super::spec::{MatrixSpec, ScenarioSpec, ServerSpec};

/// One run to be made.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'a> {
    /// Repeat, from 0. Runs of one block and scenario are made one right after the other.
    pub block: u32,
    /// The load.
    pub scenario: &'a ScenarioSpec,
    /// The server.
    pub server: &'a ServerSpec,
}

impl Turn<'_> {
    /// File name of its report.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{:02}.{}.{}.json", self.block, self.scenario.name, self.server.name)
    }
}

/// All turns in their order.
#[must_use]
pub fn turns(spec: &MatrixSpec) -> Vec<Turn<'_>> {
    let mut turns = Vec::new();
    for block in 0..spec.repeats {
        for scenario in &spec.scenarios {
            let mut servers = spec.servers_of(scenario);
            if block % 2 == 1 {
                servers.reverse();
            }
            turns.extend(servers.into_iter().map(|server| Turn { block, scenario, server }));
        }
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_go_forwards_and_backwards_and_each_as_often_first_as_last() {
        let text = "name = 'x'\nrepeats = 4\n[[server]]\nname = 'a'\npreset = 'redis-memory'\n[[server]]\nname = 'b'\npreset = 'redis-memory'\n[[scenario]]\nname = 's'\n[[scenario]]\nname = 't'\nservers = ['b']";
        let spec: MatrixSpec = toml::from_str(text).unwrap();
        let order: Vec<String> = turns(&spec)
            .iter()
            .map(|turn| format!("{}{}{}", turn.block, turn.scenario.name, turn.server.name))
            .collect();
        assert_eq!(
            order,
            ["0sa", "0sb", "0tb", "1sb", "1sa", "1tb", "2sa", "2sb", "2tb", "3sb", "3sa", "3tb"]
        );
        assert_eq!(turns(&spec)[1].file_name(), "00.s.b.json");
    }
}
