//! The ratios as a picture: for each scenario a row of dots, one for each server, on a logarithmic scale.

use crate::servers;
use std::fmt::Write;

/// A scenario's name, and what each server came to, in the order of the names.
pub struct Row {
    pub title: String,
    pub ratios: Vec<Option<f64>>,
}

/// The floors are left out: they are the line at 1.
pub fn svg(names: &[&str], rows: &[Row], is_ours: fn(&str) -> bool) -> String {
    let height = TOP + rows.len() as f64 * ROW + BOTTOM;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\" role=\"img\" aria-label=\"CPU time a message, times that of a bare epoll echo\">\n\
         <style>text{{fill:#444}}.g{{stroke:#8884}}.p{{fill:#8a8f98}}.o{{fill:#d9480f}}\
         @media(prefers-color-scheme:dark){{text{{fill:#ccc}}}}</style>\n\
         <text x=\"{LEFT}\" y=\"16\">CPU time a message, times the floor's (logarithmic): \
         <tspan fill=\"#d9480f\">ws13</tspan> and its peers</text>\n"
    );
    for tick in TICKS {
        let x = x_of(tick);
        let _ = writeln!(
            text,
            "<line class=\"g\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{}\"/>\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{tick}</text>",
            height - BOTTOM,
            height - BOTTOM + 16.0,
        );
    }
    for (index, row) in rows.iter().enumerate() {
        let y = TOP + (index as f64 + 0.5) * ROW;
        let _ = writeln!(text, "<text x=\"8\" y=\"{:.1}\">{}</text>", y + 4.0, row.title);
        // Ours last, so that nothing lies on top of it.
        for ours in [false, true] {
            let others = names.iter().zip(&row.ratios).filter(|(name, _)| !servers::is_raw(name));
            let dots = others.filter(|(name, _)| is_ours(name) == ours);
            for (name, ratio) in dots.filter_map(|(name, ratio)| Some((name, (*ratio)?))) {
                let class = if ours { "o" } else { "p" };
                let _ = writeln!(
                    text,
                    "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{y:.1}\" r=\"5\" fill-opacity=\"0.75\">\
                     <title>{name}: {ratio:.2}</title></circle>",
                    x_of(ratio),
                );
            }
        }
    }
    text + "</svg>\n"
}

/// What is off the scale stands at its edge.
fn x_of(ratio: f64) -> f64 {
    let share = (ratio.clamp(LEAST, MOST) / LEAST).ln() / (MOST / LEAST).ln();
    LEFT + share * (WIDTH - LEFT - RIGHT)
}

const TICKS: [f64; 8] = [0.75, 1.0, 1.5, 2.0, 5.0, 10.0, 20.0, 50.0];
const LEAST: f64 = 0.6;
const MOST: f64 = 70.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 20.0;
const WIDTH: f64 = 760.0;
const TOP: f64 = 28.0;
const BOTTOM: f64 = 24.0;
const ROW: f64 = 24.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_but_a_floor_is_a_dot() {
        let rows = [Row { title: "B".into(), ratios: vec![Some(1.0), Some(1.1), None, Some(80.0)] }];
        let svg = svg(&["raw-epoll", "ws13", "absent", "peer"], &rows, |name| name == "ws13");
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains("ws13: 1.10") && svg.contains("peer: 80.00") && !svg.contains("absent"));
        assert!(x_of(80.0) == x_of(MOST) && x_of(1.0) > LEFT);
    }
}
